"""What is asked of finished runs; a study imports no other."""
