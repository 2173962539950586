"""What is to be run, as YAML and as in records."""
