"""A channel whose TLS files may change: new calls go over a new connection then, calls under way end on the former."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from mesh.core.rpc.certificates import Certificates
from mesh.core.rpc.watched_files import WatchedFiles


class RenewingChannel(grpc.aio.Channel):
    """Behaves like the channel that `open_one` opens, with the certificates of the moment.

    Args:
        files: the certificates.
        open_one: opens a channel with certificates.
    """

    def __init__(self, files: WatchedFiles[Certificates], open_one: Callable[[Certificates], grpc.aio.Channel]) -> None:
        self._files = files
        self._open = open_one
        self._certificates = files.current()
        self._now = _Generation(open_one(self._certificates))
        self._leaving: set[_Generation] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def _current(self) -> "_Generation":
        found = self._files.current()
        if found is not self._certificates:
            former, self._now = self._now, _Generation(self._open(found))
            self._certificates = found
            self._leaving.add(former)
            former.leave(lambda: self._close(former))
        return self._now

    def _close(self, former: "_Generation") -> None:
        self._leaving.discard(former)
        task = asyncio.get_running_loop().create_task(former.channel.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _method(self, kind: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """A method by name, as each channel makes it when it is first called there."""
        made: list[tuple[_Generation, Any]] = []

        def call(*given: Any, **named: Any) -> Any:
            generation = self._current()
            if not made or made[0][0] is not generation:
                made[:] = [(generation, getattr(generation.channel, kind)(*arguments, **options))]
            return generation.track(made[0][1](*given, **named))

        return call

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """As grpc's."""
        return self._method("unary_unary", arguments, options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """As grpc's."""
        return self._method("unary_stream", arguments, options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """As grpc's."""
        return self._method("stream_unary", arguments, options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """As grpc's."""
        return self._method("stream_stream", arguments, options)

    async def close(self, grace: float | None = None) -> None:
        """Closes it; calls under way are given `grace` seconds."""
        every = [self._now, *self._leaving]
        await asyncio.gather(*(one.channel.close(grace) for one in every), *self._closing)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """As grpc's."""
        return self._current().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """As grpc's."""
        await self._current().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """As grpc's."""
        await self._current().channel.channel_ready()

    async def __aenter__(self) -> "RenewingChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Generation:
    """A channel and how many calls are under way on it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._calls = 0
        self._left: Callable[[], None] | None = None

    def track(self, call: Any) -> Any:
        """Counts the call until it is done."""
        self._calls += 1
        call.add_done_callback(self._ended)
        return call

    def leave(self, then: Callable[[], None]) -> None:
        """Calls `then` once no call is under way; no new one begins."""
        if self._calls:
            self._left = then
        else:
            then()

    def _ended(self, _: object) -> None:
        self._calls -= 1
        if not self._calls and self._left is not None:
            then, self._left = self._left, None
            then()
