"""How hosts are told to start this server."""
