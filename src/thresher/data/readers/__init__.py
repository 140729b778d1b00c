"""Importers: a format from elsewhere in, the three tables of a dataset out."""
