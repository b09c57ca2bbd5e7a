"""Pictures out of a video, for `reprocess --video-frames`: `frames` runs a process of its own, `decoder` is what it
runs, `ranged_file` is what that reads Immich's playback stream through."""
