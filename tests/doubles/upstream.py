"""Time that stands still and endpoints that do as they are told: the seams of `router.upstream`, in tests."""

import asyncio
import heapq
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any

from mesh.core.errors import MeshError
from router.config import ClusterSettings, RetrySettings
from router.domain.requests import Content
from router.domain.tasks import Lane
from router.metrics import RouterMetrics
from router.upstream.calls import Call, FailureKind, TryFailedError
from router.upstream.cluster import Cluster
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint import Endpoint, Probe, Transport


async def settle() -> None:
    """Lets every task that can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeTiming:
    """A clock that moves when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self._now

    def call_later(self, delay: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self._now + delay, next(self._numbers), timer))
        return timer

    async def sleep(self, delay: float) -> None:
        woken = asyncio.Event()
        self.call_later(delay, woken.set)
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Moves the clock, and on the way runs what is due, in its order."""
        end = self._now + seconds
        await settle()
        while self._timers and self._timers[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback()
            await settle()
        self._now = end
        await settle()


Behaviour = Callable[[Call], Awaitable[Any]]


def answering(value: Any) -> Behaviour:
    """Answers at once."""

    async def behave(_: Call) -> Any:
        return value

    return behave


def failing(kind: FailureKind, retry_after: float | None = None) -> Behaviour:
    """Fails every try in the same way."""

    async def behave(call: Call) -> Any:
        raise TryFailedError(kind, MeshError(f"made to fail: {kind}"), retry_after, exclusive=call.exclusive)

    return behave


def failing_first(times: int, kind: FailureKind, value: Any = "ok") -> Behaviour:
    """Fails so many tries, then answers."""
    left = times

    async def behave(_: Call) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise TryFailedError(kind, MeshError(f"made to fail: {kind}"))
        return value

    return behave


class Blocked:
    """Answers when released. `waiting` counts the tries that wait, `cancelled` those that were cut short."""

    def __init__(self, value: Any = "ok") -> None:
        self.value = value
        self.waiting = 0
        self.cancelled = 0
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def __call__(self, _: Call) -> Any:
        self.waiting += 1
        try:
            await self._released.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.waiting -= 1
        return self.value


class FakeTransport:
    """An endpoint."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.behave: Behaviour = answering("ok")
        self.health = Probe.SERVING
        self.calls: list[Call] = []
        self.timeouts: list[float] = []
        self.busy_with = ""
        self.closed = False
        self.probes = 0
        self.tells_loss = True
        self.lost: Callable[[], None] = lambda: None

    async def send(self, call: Call, seconds: float) -> Any:
        self.calls.append(call)
        self.timeouts.append(seconds)
        return await self.behave(call)

    async def probe(self, seconds: float) -> Probe:
        await asyncio.sleep(0)
        self.probes += 1
        return self.health

    def watch(self, lost: Callable[[], None]) -> bool:
        self.lost = lost
        return self.tells_loss

    async def progress(self, seconds: float) -> str:
        return self.busy_with

    async def close(self) -> None:
        self.closed = True


class FakeEndpoints:
    """Opens fake transports and remembers them by address."""

    def __init__(self) -> None:
        self.by_address: dict[str, FakeTransport] = {}

    def open(self, address: Address) -> Transport:
        transport = self.by_address[address.target] = FakeTransport(address.target)
        return transport

    def __getitem__(self, address: str) -> FakeTransport:
        return self.by_address[address]

    def calls(self) -> dict[str, int]:
        return {address: len(transport.calls) for address, transport in self.by_address.items()}


class Stand:
    """A cluster on fake endpoints `a:1`, `b:1`, ... and fake time."""

    def __init__(self, count: int = 1, seed: int = 7, **settings: Any) -> None:
        self.timing = FakeTiming()
        self.endpoints = FakeEndpoints()
        self.metrics = RouterMetrics()
        names = tuple(f"{chr(ord('a') + number)}:1" for number in range(count))
        self.cluster = Cluster(
            "test",
            ClusterSettings(endpoints=names, **settings),
            self.endpoints.open,
            self.metrics,
            self.timing,
            random.Random(seed),
        )
        self.policy = RetrySettings()

    async def __aenter__(self) -> "Stand":
        await self.cluster.start()
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cluster.close()

    def endpoint(self, address: str) -> Endpoint:
        return next(endpoint for endpoint in self.cluster.endpoints if endpoint.address == address)

    def call(self, payload: bytes = b"photo", lane: Lane = Lane.IMAGE, seconds: float = 240, **fields: Any) -> Call:
        return Call(
            method="/x/Y",
            message=b"m",
            read=lambda reply: reply,
            content=Content(payload),
            lane=lane,
            deadline=self.timing.now() + seconds,
            **fields,
        )

    def send(self, payload: bytes = b"photo", hold_until: float | None = None, **fields: Any) -> asyncio.Task[Any]:
        """A call under way."""
        return asyncio.create_task(self.cluster.call(self.call(payload, **fields), self.policy, hold_until))

    def count(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(f"immich_mesh_{name}", labels) or 0.0
