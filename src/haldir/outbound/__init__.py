"""How Haldir reaches other machines: which addresses it may, and the HTTP clients that keep to that."""
