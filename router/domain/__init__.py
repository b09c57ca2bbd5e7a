"""Tasks, requests and results: plain data."""
