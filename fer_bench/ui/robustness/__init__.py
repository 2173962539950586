"""The parts of page Robustness."""
