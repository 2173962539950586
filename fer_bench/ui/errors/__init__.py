"""The parts of page Errors."""
