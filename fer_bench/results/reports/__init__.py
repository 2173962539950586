"""What measurements of a finished run write next to its record."""
