"""How the hub stores: its tables and their migrations, ciphers, the keys of persons, commits shared by callers."""
