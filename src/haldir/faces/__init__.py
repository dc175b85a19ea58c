"""Bytes to structs and back; no rules."""
