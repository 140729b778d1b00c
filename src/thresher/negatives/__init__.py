"""Where the columns of a batch come from."""
