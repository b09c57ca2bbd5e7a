"""The admin page and API."""
