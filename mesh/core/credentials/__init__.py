"""Certificates and tokens of the connections between router and services, read again when their files change."""
