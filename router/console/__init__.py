"""The web page that the router's admin listener serves (static files)."""
