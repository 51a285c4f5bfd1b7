"""MCP: the server and its transports. Nothing else imports mcp but the walkthrough of `demo`."""
