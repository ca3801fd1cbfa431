"""Benchmarks: `python -m benchmarks` from the root of a checkout. See benchmarks/README.md."""
