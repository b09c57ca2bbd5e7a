"""What the three model services share: gRPC server, batcher, sessions, model lifecycle, images."""
