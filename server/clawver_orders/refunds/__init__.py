"""Refunds: who may have how much back, who approves, what was sent, and what became of it."""
