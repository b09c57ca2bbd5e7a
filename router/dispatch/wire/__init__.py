"""Requests and answers in the words of Immich's machine-learning API: forms in, JSON out."""
