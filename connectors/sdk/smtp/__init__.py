"""SMTP for connectors: a conversation with a server, what its replies mean, and headers that name nobody else."""
