"""Which models exist and how their files get into the cache folder. Imports no inference library."""
