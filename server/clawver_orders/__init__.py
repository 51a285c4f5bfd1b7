"""Orders and refunds of a Clawver store, for AI agents. Importing this package does nothing."""

__version__ = "0.1.0"
