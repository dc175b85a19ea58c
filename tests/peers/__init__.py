"""Haldir between clients, agent frameworks and servers that others wrote. `make peers` fetches those and runs this."""
