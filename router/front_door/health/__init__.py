"""How Immich, its database and the way between them are: what `/ready?verbose`, `/immich` and `doctor` show."""
