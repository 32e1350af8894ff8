"""What a message is: the event, its schemas, what passes to and from a connector, and the error vocabulary."""
