"""Commands that measure how right answers are, and whether a record holds."""
