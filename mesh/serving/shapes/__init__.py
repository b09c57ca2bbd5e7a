"""A small fixed set of input shapes, for devices that compile a graph for each: whatever comes is padded to one."""
