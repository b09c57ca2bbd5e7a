"""Where text is."""
