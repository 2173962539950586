"""The parts of page Labels."""
