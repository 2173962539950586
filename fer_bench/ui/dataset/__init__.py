"""The parts of page Dataset."""
