"""The parts of page Latency."""
