"""The official MCP conformance suite, run at the official server directly and through Haldir."""
