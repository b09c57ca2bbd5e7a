"""What passes through the front door untouched: requests, WebSockets, and what becomes of both while Immich is away."""
