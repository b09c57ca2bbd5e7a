"""Self-healing: Immich's queues are paused while nobody can serve them, and what Immich dropped is queued again."""
