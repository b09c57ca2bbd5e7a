"""The router as a process: how it starts, refuses to, reloads and stops."""

import asyncio
import os
import signal
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from bench.chaos.fleet import free_ports
from tests.waiting import PATIENCE_SECONDS

Process = asyncio.subprocess.Process


async def start(environment: Mapping[str, str], *arguments: str) -> Process:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ROUTER_", "MESH_"))}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router", *arguments),
        env=inherited | dict(environment),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def line_with(process: Process, words: str) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while line := (await process.stderr.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"it never said {words!r}")


def loopback() -> tuple[dict[str, str], int]:
    (port, metrics) = free_ports(2)
    return {
        "ROUTER_LISTENERS__IMMICH_ML__HOST": "127.0.0.1",
        "ROUTER_LISTENERS__IMMICH_ML__PORT": str(port),
        "ROUTER_LISTENERS__ADMIN__ENABLED": "false",
        "ROUTER_METRICS_PORT": str(metrics),
        "ROUTER_LOG_FORMAT": "json",
    }, port


async def test_it_starts_reloads_and_stops_cleanly(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    file.write_text("drain_seconds: 1\n", "utf-8")
    environment, port = loopback()
    process = await start(environment, "--config", str(file))
    assert f"127.0.0.1:{port}" in await line_with(process, "listening")
    url = f"http://127.0.0.1:{environment['ROUTER_METRICS_PORT']}/metrics"
    with await asyncio.to_thread(urllib.request.urlopen, url) as reply:
        assert b"immich_mesh_upstream_endpoints" in reply.read()
    process.send_signal(signal.SIGHUP)
    await line_with(process, "configuration reloaded")
    file.write_text("drain_seconds: soon\n", "utf-8")
    assert "router.yaml:1:1: drain_seconds" in await line_with(process, "the old one stays")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), PATIENCE_SECONDS) == 0


async def test_a_wrong_file_ends_it_with_status_2_and_the_position(tmp_path: Path) -> None:
    file = tmp_path / "router.yaml"
    file.write_text("listeners:\n  immich_ml:\n    port: many\n", "utf-8")
    process = await start({}, "--config", str(file))
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert process.returncode == 2
    assert errors.decode().startswith(f"{file}:3:5: listeners.immich_ml.port:")
    assert errors.count(b"\n") == 1


async def test_a_port_that_is_taken_ends_it_with_status_1(tmp_path: Path) -> None:
    environment, port = loopback()
    blocker = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    process = await start(environment)
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    assert process.returncode == 1
    assert b"cannot start" in errors
    assert str(port).encode() in errors
    assert b"Traceback" not in errors
    blocker.close()
