"""Haldir between clients and servers that others wrote. `make peers` fetches those and runs this."""
