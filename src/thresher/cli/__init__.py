"""Thin commands: they read arguments, call a job, and print what it returns."""
