"""Opens the batch axis of a graph that was traced for a batch of one; the rules stand by operator."""
