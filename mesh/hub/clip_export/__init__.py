"""Official Chinese-CLIP checkpoints, exported into Immich's layout. Needs the extra `export` (torch and cn-clip)."""
