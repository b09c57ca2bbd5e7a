"""Sessions behind batchers: what pipelines call."""
