"""Who may call now: pending queue, circuit breaker, retry budget."""
