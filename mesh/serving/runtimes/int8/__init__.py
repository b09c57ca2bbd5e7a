"""Graphs in eight bits: `files` says where they lie, `inputs` and `quantiser` make them."""
