"""`haldir-mcp`: what `/mcp` offers, for MCP clients that start a program and speak over its pipes."""
