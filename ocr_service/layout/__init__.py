"""In which order text is read."""
