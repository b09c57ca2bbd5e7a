"""The endpoints of a cluster: found, watched, chosen."""
