"""A model on corrupted faces, and on other data sets."""
