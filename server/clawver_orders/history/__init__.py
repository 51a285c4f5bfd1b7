"""What was once seen of a store's orders, kept on this machine: Clawver's list ends at 100 of each status."""
