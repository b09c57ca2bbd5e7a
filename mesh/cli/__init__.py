"""The command line `immich-mesh` and the one-machine supervisor."""
