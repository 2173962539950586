"""The parts of page Image."""
