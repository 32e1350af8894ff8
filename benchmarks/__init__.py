"""The benchmark: the whole hub against the bare broker and the libraries a team would pick instead, in one run."""
