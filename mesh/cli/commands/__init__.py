"""The commands of `immich-mesh`, one module per group."""
