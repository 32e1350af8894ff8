"""The one way in: authorise, validate, and commit what was brought; and the hub's side of its deliveries."""
