"""Which models are in memory, and when they load."""
