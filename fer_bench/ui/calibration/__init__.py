"""The parts of page Calibration."""
