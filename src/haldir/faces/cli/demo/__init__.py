"""`haldir demo`: a real MCP client, a real Haldir and a real MCP server, and what becomes of each call."""
