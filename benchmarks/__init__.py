"""Repeatable measurements beside the servers that partners run: `make bench` (`python -m benchmarks`)."""
