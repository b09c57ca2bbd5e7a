"""Clusters of endpoints, in Envoy's nouns: discovery, balancing, health, outlier detection, circuit breaking, retries
and the queue that holds requests while nobody can answer them. The only part of the router that knows generated code.
"""
