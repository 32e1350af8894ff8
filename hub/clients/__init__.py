"""The programs that may call the hub: who they are, their webhooks, their repeated calls."""
