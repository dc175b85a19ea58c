"""MCP: one endpoint, all revisions; a transparent relay and a joined server."""
