"""Requests: where each stands, its timeline, its legal clocks, the letters and notices that follow from them."""
