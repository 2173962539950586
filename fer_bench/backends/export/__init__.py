"""A run's network as a file that works without FER Bench."""
