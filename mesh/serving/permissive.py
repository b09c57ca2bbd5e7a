"""A port that takes TLS and plain text: for the time in which TLS is switched on or off, pod by pod.

gRPC's own port does one of the two. So the server listens on two sockets of this machine, and each connection from
outside is handed to the one that its first byte asks for. That costs a copy of what passes; a port for good has none.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import structlog

log = structlog.get_logger()

TLS_HANDSHAKE = b"\x16"
"""First byte of a TLS connection (RFC 8446, 5.1); HTTP/2 in plain text begins with `PRI`."""
SILENCE_SECONDS = 20.0
"""Both kinds of clients speak first; who says nothing for so long is not one."""
CHUNK_BYTES = 256 * 1024


@asynccontextmanager
async def tls_or_plain_text(
    server: grpc.aio.Server, credentials: grpc.ServerCredentials, host: str, port: int
) -> AsyncIterator[int]:
    """Starts the server behind such a port until the block ends; yields its number, any free one for 0.

    Raises:
        OSError: the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="immich-mesh-") as folder:  # nobody else's: mode 0700
        secure, plain = Path(folder) / "tls", Path(folder) / "plain"
        server.add_secure_port(f"unix:{secure}", credentials)
        server.add_insecure_port(f"unix:{plain}")
        await server.start()
        relay = _Relay(secure, plain)
        try:
            listener = await asyncio.start_server(relay.connected, host, port, limit=CHUNK_BYTES)
        except OSError as error:
            raise OSError(f"cannot listen on {host}:{port}: is another process using the port?") from error
        log.warning("plain text is accepted beside TLS", port=listener.sockets[0].getsockname()[1])
        try:
            yield int(listener.sockets[0].getsockname()[1])
        finally:
            listener.close()
            await relay.close()


class _Relay:
    def __init__(self, secure: Path, plain: Path) -> None:
        self._secure = secure
        self._plain = plain
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from outside, to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            await self._relay(reader, writer)
        except (OSError, TimeoutError):
            pass  # one side has gone, or never spoke: the other is told by the end of its connection
        finally:
            del self._connections[task]
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(SILENCE_SECONDS):
            first = await reader.read(CHUNK_BYTES)
        if not first:
            return
        path = self._secure if first.startswith(TLS_HANDSHAKE) else self._plain
        inside, towards = await asyncio.open_unix_connection(path, limit=CHUNK_BYTES)
        try:
            towards.write(first)
            ways = [asyncio.ensure_future(_pump(reader, towards)), asyncio.ensure_future(_pump(inside, writer))]
            try:
                # HTTP/2 knows no half of a connection: when one side has ended, so has the other.
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            towards.close()

    async def close(self) -> None:
        """Ends what is still connected."""
        for writer in self._connections.values():
            writer.transport.abort()
        await asyncio.gather(*self._connections)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
