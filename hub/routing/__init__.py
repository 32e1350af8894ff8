"""Who gets an event, and which of its fields."""
