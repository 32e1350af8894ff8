"""The command `unefois`: its entry is `commands.main`. Imported by nothing of the product."""
