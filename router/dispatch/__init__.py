"""The way of one request: parse, route, fan out, assemble."""
