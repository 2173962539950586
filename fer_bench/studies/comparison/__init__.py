"""Whether one run is really better than another."""
