"""What every listener has: its socket and connections, limits on bodies, who may call, and what is noted."""
