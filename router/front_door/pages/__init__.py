"""What the photo front door shows people: its own pages at `/mesh/`, and one script in Immich's page."""
