"""The photo front door: a transparent reverse proxy to Immich that changes four calls and touches nothing else."""
