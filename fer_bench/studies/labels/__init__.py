"""How far a data set's labels can be trusted."""
