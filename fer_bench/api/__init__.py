"""The REST API: a run's model behind an address. `app.create_app` makes it, `server` runs it."""
