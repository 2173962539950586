"""The parts of page Live."""
