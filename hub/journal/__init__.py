"""The record of who did what: written, sealed, stamped, verified."""
