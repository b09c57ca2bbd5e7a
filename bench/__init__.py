"""Benchmarks: how near the mesh comes to the machine's limit, and what its own parts cost."""
