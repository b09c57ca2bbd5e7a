"""Where an endpoint is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """An endpoint's address.

    Attributes:
        target: `host:port`.
        server_name: the name its certificate must carry; empty for the host of `target`.
        zone: the part of the cluster that it is in; empty where that is not known.
    """

    target: str
    server_name: str = ""
    zone: str = ""
