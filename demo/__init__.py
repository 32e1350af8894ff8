"""`unefois demo`: the scenes of a town, played over the real protocols with twins of its packages on loopback."""
