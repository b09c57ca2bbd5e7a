"""Generators of the chart's files."""
