"""One file a verb of the command line; each takes paths and returns JSON values."""
