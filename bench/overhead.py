"""`python -m bench.overhead`: what router and gRPC cost, against services that answer at once.

python -m bench.overhead                       150 KB requests of every family, ten seconds each
python -m bench.overhead --clients 32 --family clip

The router runs as a process of its own in front of `bench.stubs`; its CPU time is read from the kernel. The targets are
under 1.0 ms of CPU per request, the stub's half of the gRPC call included, and over 1,000 requests per second and core
of the router.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import uvloop

from bench import report
from bench.load import BOUNDARY, Measurement, closed_loop, multipart
from bench.processes import Processes, child, free_port, router, wait_until_ready

PAYLOAD_BYTES = 150_000
COLUMNS = {
    "family": "family",
    "clients": "clients",
    "per_second": "requests/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "router_ms": "router CPU ms",
    "stub_ms": "stub CPU ms",
    "per_core": "requests/s per router core",
    "peak_mb": "router peak MB",
    "errors": "errors",
}


class PreparedConnection:
    """One HTTP connection that sends prepared bytes and looks only at status and length of the answer.

    A full HTTP client would cost more than the router does.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def exchange(self, request: bytes) -> bool:
        """Whether the answer to `request` has status 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:-2])
        await self._reader.readexactly(int(fields[b"content-length"]))
        return head.startswith(b"HTTP/1.1 200")

    async def close(self) -> None:
        """Closes the connection."""
        self._writer.close()
        await self._writer.wait_closed()


def requests(family: str, host: str) -> Iterator[bytes]:
    """Prepared requests without end, no two alike: equal ones in flight would share one call."""
    number = 0
    while True:
        number += 1
        unique = number.to_bytes(8, "big")
        payload = f"query {number}" if family == "text" else unique + os.urandom(16) + bytes(PAYLOAD_BYTES - 24)
        body = multipart(family, payload)
        head = (
            f"POST /predict HTTP/1.1\r\nhost: {host}\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


async def drive(family: str, url: str, clients: int, seconds: float) -> Measurement:
    """A closed loop of connections to the router."""
    host, port = url.removeprefix("http://").split(":")
    prepared = requests(family, host)
    free = [PreparedConnection(*await asyncio.open_connection(host, int(port), limit=1 << 20)) for _ in range(clients)]

    async def send() -> bool:
        connection = free.pop()
        try:
            return await connection.exchange(next(prepared))
        finally:
            free.append(connection)

    seen = await closed_loop(send, clients=clients, seconds=seconds)
    for connection in free:
        await connection.close()
    return seen


@contextmanager
def stubbed_router() -> Iterator[Processes]:
    """A router in front of stub services, each a process of its own."""
    logs = report.OUT / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    port = free_port()
    ports = dict.fromkeys(("ocr", "clip", "face"), port)
    with ExitStack() as stack:
        stub = stack.enter_context(child(["bench.stubs", "--port", str(port)], os.environ, logs / "stubs.log"))
        url, process = stack.enter_context(router(ports, os.environ, logs / "router.log"))
        children = {"router": process, "stub": stub}
        wait_until_ready(url, {"stub": port}, children, logs)
        yield Processes(url, {name: process.pid for name, process in children.items()})


def measure(processes: Processes, family: str, clients: int, seconds: float) -> dict[str, Any]:
    """One row of the table."""
    uvloop.run(drive(family, processes.url, clients, min(1.0, seconds)))
    before, started = processes.usage(), time.perf_counter()
    seen = uvloop.run(drive(family, processes.url, clients, seconds))
    after = processes.usage()
    answers = max(1, len(seen.latencies))
    used = {name: (after.cpu_seconds[name] - before.cpu_seconds[name]) / answers for name in after.cpu_seconds}
    return {
        "family": family,
        "clients": clients,
        **seen.summary(),
        "router_ms": used["router"] * 1000,
        "stub_ms": used["stub"] * 1000,
        "per_core": 1 / used["router"] if used["router"] else float("nan"),
        "peak_mb": after.peak_bytes["router"] / 1e6,
        "wall_seconds": time.perf_counter() - started,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(
        "bench.overhead", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--family", nargs="+", choices=["clip", "face", "ocr", "text"], default=["clip", "face", "ocr", "text"]
    )
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--seconds", type=float, default=10.0, help="of load per row (default: %(default)s)")
    options = parser.parse_args(arguments)
    rows = []
    with stubbed_router() as processes:
        for family in options.family:
            for clients in options.clients:
                rows.append(measure(processes, family, clients, options.seconds))
                print(f"{family} x{clients}: {rows[-1]['router_ms']:.2f} ms of router CPU per request", flush=True)
    text = report.table(rows, COLUMNS)
    saved = report.save("overhead", {"machine": report.machine(), "payload_bytes": PAYLOAD_BYTES, "rows": rows})
    saved.with_suffix(".md").write_text(text, "utf-8")
    print(f"\n{text}\n{saved}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
