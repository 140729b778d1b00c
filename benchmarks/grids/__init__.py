"""The grids of the papers: what their cells are, how they run, and their tables and figures.

`runs` makes a cell of a run, `cell` trains and measures it, `command` is what the commands beside
this folder share. `alc`, `croloss` and `ssl` say which cells a grid has.
"""
