"""How far the hub grows: parts measured one, two and four times over, and a model calibrated on these measures."""
