"""How a model of the catalogue reaches the cache: listed, downloaded, adapted, moved into place."""
