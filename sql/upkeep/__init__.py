"""Migrations, backfill and their state."""
