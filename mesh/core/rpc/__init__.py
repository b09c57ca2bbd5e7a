"""The connections between router and services: channels, their certificates and tokens, marks on statuses."""
