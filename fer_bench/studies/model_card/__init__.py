"""A run's model card."""
