"""The parts of page Run."""
