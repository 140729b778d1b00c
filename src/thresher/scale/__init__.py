"""Jobs over many queries, in parts that are made on this machine or on Ray."""
