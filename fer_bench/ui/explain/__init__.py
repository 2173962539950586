"""The parts of page Explain."""
