"""The deterministic core: commands in, entries and rows out."""
