"""What is to be run, as YAML and as records keep it."""
