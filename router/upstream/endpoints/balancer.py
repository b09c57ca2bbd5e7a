"""Choosing an endpoint for a request: least request of two random ones, or round robin."""

import random
from collections.abc import Collection, Sequence
from typing import Protocol

from router.config import Balancer
from router.upstream.endpoints.endpoint import Endpoint


class BalancingPolicy(Protocol):
    """A balancing policy."""

    def pick(self, endpoints: Sequence[Endpoint]) -> Endpoint:
        """One of the endpoints, of which there is at least one."""


class LeastRequest:
    """The less busy of two endpoints drawn at random: close to the best choice, without herding on it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def pick(self, endpoints: Sequence[Endpoint]) -> Endpoint:
        """One of the endpoints, of which there is at least one."""
        if len(endpoints) == 1:
            return endpoints[0]
        first, second = self._rng.sample(endpoints, 2)
        return first if first.active <= second.active else second


class RoundRobin:
    """One after the other."""

    def __init__(self) -> None:
        self._turn = -1

    def pick(self, endpoints: Sequence[Endpoint]) -> Endpoint:
        """One of the endpoints, of which there is at least one."""
        self._turn += 1
        return endpoints[self._turn % len(endpoints)]


def make_balancer(kind: Balancer, rng: random.Random) -> BalancingPolicy:
    """The policy of that name."""
    return RoundRobin() if kind is Balancer.ROUND_ROBIN else LeastRequest(rng)


def pick_available(
    choice: BalancingPolicy, endpoints: Sequence[Endpoint], avoid: Collection[str], zone: str = ""
) -> Endpoint | None:
    """An available endpoint, rather one that is not to be avoided, then rather one in that zone; None without any."""
    available = [endpoint for endpoint in endpoints if endpoint.available]
    if avoid:
        available = [endpoint for endpoint in available if endpoint.address not in avoid] or available
    if zone:
        available = [endpoint for endpoint in available if endpoint.zone == zone] or available
    return choice.pick(available) if available else None
