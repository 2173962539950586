"""The parts of page Compare."""
