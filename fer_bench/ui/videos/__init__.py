"""The parts of page Videos."""
