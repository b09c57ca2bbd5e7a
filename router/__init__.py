"""HTTP in, gRPC out: listeners ▸ routes ▸ fan-out ▸ upstream clusters."""
