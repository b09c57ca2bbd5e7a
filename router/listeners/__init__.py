"""What speaks to the outside: Immich's machine-learning API, MT Photos, the photo front door and the admin API."""
