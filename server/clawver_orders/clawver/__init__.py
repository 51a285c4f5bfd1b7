"""Clawver's API: its endpoints, how requests travel, its records, and the request allowance."""
