"""Haldir: the guardian between AI agents and the tools they call."""
