"""The rooms that know the protocol. Nothing else imports mcp."""
