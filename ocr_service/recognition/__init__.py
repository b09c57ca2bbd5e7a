"""What text says."""
