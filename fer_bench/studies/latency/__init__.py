"""How fast a network runs here."""
