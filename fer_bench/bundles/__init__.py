"""A run as something to take along: a web page, a Python folder, a repository on a hub."""
