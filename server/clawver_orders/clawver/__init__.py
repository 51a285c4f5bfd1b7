"""Clawver's API: its client, its models, and the requests it allows."""
