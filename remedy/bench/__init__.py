"""Benchmarks of the project: requests lost during a change, throughput against a path set up by hand, speed.

`python -m remedy.bench --help`; the Makefile's targets bench-loss, bench-demo and bench-speed run them.
"""
