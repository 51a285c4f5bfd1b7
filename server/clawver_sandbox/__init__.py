"""A Clawver store on this machine, for trying and testing. Shares no code with the product."""
