"""Searches that the front door answers itself."""
