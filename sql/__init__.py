"""Search in Immich's database: migrations, queries and the asyncpg repository that runs them."""
