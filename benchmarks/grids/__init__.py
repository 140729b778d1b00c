"""Whole grids of models in one command: what the cells are, how they run, and the table of them.

`cells` runs any list of cells in processes of their own and never the same one twice, `table` and
`figure` show what they measured; `alc` says which cells the grid of the ALC paper has.
"""
