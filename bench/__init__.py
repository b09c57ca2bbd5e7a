"""Benchmarks: how near the mesh comes to the machine's limit, and what its own parts cost."""

import mesh  # noqa: F401 - before any library that would report to its maker, see mesh.core.privacy
