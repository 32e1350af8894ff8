"""The declared kinds of connector: what runs a `connector.toml` that needs no code of its own.

One module a kind, `rest`, `soap`, `dump`, `drop`, `sql`, each with its class, the JSON Schema of its tables and what
`unefois check` says of them. A connector that needs a method of its own subclasses the class of its kind.
"""
