"""`immich-mesh up`: the processes of one machine."""
