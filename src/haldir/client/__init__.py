"""The client side of Haldir; imports nothing else of it."""
