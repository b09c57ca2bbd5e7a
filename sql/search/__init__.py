"""The queries of a search."""
