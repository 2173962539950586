"""A webcam's frames, named while they come."""
