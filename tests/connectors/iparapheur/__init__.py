"""Tests of the signature book."""
