"""Commands that ask something of finished runs."""
