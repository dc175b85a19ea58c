"""MCP servers for tests: a real one made with the official SDK, and raw ones that misbehave."""
