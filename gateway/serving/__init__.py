"""The application put together from the routes, described, and served. Routes know nothing of it."""
