"""Tables, the relation of who is true for whom, datasets, splits, audits and readers."""
