"""The outside systems: one folder per package, the kit they are written with, and their twins."""
