"""The face service beside InsightFace's own code, on the same graphs."""
