"""Kills a real server at the worst moments, and asks the store what became of the money.

A server process over stdio, a store on a port whose lines go wrong, and an agent that repeats
whatever it was told in other words. The judge is what the store recorded.
`python -m tests.instruments.crash --iterations 2000 --seed 1` is the long run. With `--servers 2` or
more, servers of several machines share a database, of which lines and the server itself go wrong too.
"""
