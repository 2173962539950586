"""What measurements of a finished run write beside its record."""
