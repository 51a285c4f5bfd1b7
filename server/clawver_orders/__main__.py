"""Lets `python -m clawver_orders` be the command `clawver-orders`."""

from clawver_orders.cli import main

main()
