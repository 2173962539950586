"""A fixed backbone's features, for frozen training and for Explain."""
