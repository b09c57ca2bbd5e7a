"""Immich as the front door knows it: its API, the shapes of its answers, and who a caller is to it."""
