"""Proof that nothing is lost: load on the mesh while its parts are killed, paused, broken, rolled and reconfigured."""
