"""How the command talks to services, router and photo front door."""
