"""An HTTP listener: its socket with limits on connections and on how long they may idle."""

import asyncio
import socket
from typing import Any

from aiohttp import web, web_response
from aiohttp.web_protocol import RequestHandler

from mesh.core.sockets import BACKLOG, listening_socket
from router.listeners.server.connection import ListenerConnection
from router.listeners.server.observe import ListenerContext, observing

__all__ = ["SERVER_OPTIONS", "HttpListener", "ListenerContext"]

# Who answers, but not on which versions of what: aiohttp tells that even to what is no HTTP, and has no setting for it.
web_response.SERVER_SOFTWARE = "immich-mesh"  # type: ignore[attr-defined]

SERVER_OPTIONS = web.AppKey("server_options", dict[str, Any])
"""Where an application leaves more arguments for aiohttp's server, if it needs any."""


class HttpListener:
    """A listening socket in front of an aiohttp application.

    Args:
        context: name, limits, metrics.
        app: handlers only; this class adds the middleware.
    """

    def __init__(self, context: ListenerContext, app: web.Application) -> None:
        self.context = context
        self.name = context.name
        self.settings = context.settings
        self.host = context.settings.host
        self.port = context.settings.port
        app.middlewares.insert(0, observing(context, self._first_request))
        options: dict[str, Any] = app.get(SERVER_OPTIONS, {})
        options.setdefault("auto_decompress", False)  # a small body could become a large one
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,  # a client that leaves cancels the work for it
            keepalive_timeout=context.settings.keepalive_seconds,
            shutdown_timeout=context.drain_seconds,
            **options,
        )
        self._server: asyncio.Server | None = None
        self._newcomers: set[RequestHandler] = set()

    @property
    def is_open(self) -> bool:
        """Whether the socket listens."""
        return self._server is not None

    @property
    def address(self) -> str:
        """`host:port`, the port as it is when 0 was asked for."""
        return f"{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._runner.server.connections) if self._runner.server else 0

    async def start(self) -> None:
        """Opens the socket, or takes the one that was handed down. Raises OSError when the port is taken."""
        await self._runner.setup()
        fd = self.settings.fd
        opened = socket.socket(fileno=fd) if fd is not None else listening_socket(self.host, self.settings.port)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=opened, backlog=BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]

    def close_socket(self) -> None:
        """Takes no more connections; those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def stop(self) -> None:
        """Closes the socket, lets requests in flight finish for `drain_seconds`, then closes their connections."""
        self.close_socket()
        # aiohttp grants its time twice: to the requests, and again to those that it has just given up on.
        end = asyncio.get_running_loop().call_later(self.context.drain_seconds, self._hang_up)
        await self._runner.cleanup()
        end.cancel()

    def _hang_up(self) -> None:
        for connection in self._runner.server.connections if self._runner.server else ():
            connection.force_close()

    def _connection(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        if len(server.connections) >= self.settings.max_connections:
            return _Refused()
        handler = ListenerConnection.of(server, self.name)
        # aiohttp times idle connections only after their first request.
        self._newcomers.add(handler)
        asyncio.get_running_loop().call_later(self.settings.header_timeout_seconds, self._give_up_on, handler)
        return handler

    def _first_request(self, request: web.Request) -> None:
        self._newcomers.discard(request.protocol)

    def _give_up_on(self, handler: RequestHandler) -> None:
        if handler in self._newcomers:
            self._newcomers.discard(handler)
            handler.force_close()


class _Refused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
