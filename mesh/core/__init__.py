"""What every process of the mesh shares: domain errors, settings, logs, traces, gRPC options."""
