"""HTTP: everything that a portal, a package or an operator reaches by URL."""
