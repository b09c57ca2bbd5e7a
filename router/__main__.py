"""The router's process: `python -m router [--config FILE]`."""

import argparse
import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

# gRPC reads it once, when it is imported: replicas that come and go are the router's own news to tell.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import orjson
import structlog
import uvloop

from mesh.core.logs import configure_logs
from mesh.core.settings.unknown import unknown_settings
from mesh.core.tracing import configure_tracing
from router.config import RouterSettings, config_path
from router.config.file import ConfigError, json_schema, load
from router.runtime import Router

log = structlog.get_logger()

EXIT_CONFIG = 2
EXIT_START = 1


def main() -> int:
    """Runs the router; returns the exit status: 0 stopped, 1 cannot start, 2 wrong configuration."""
    arguments = _arguments()
    if arguments.schema:
        sys.stdout.write(orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    path = arguments.config or config_path()
    try:
        settings = load(path)
        configure_logs(settings.log_level, settings.log_format, "immich-mesh-router")
    except (ConfigError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    configure_tracing("immich-mesh-router")
    for unknown in unknown_settings(os.environ, [RouterSettings], ("ROUTER_",)):
        log.warning("unknown setting", name=unknown.name, advice=unknown.advice)
    _raise_file_limit()
    try:
        uvloop.run(serve(Router(settings, path)))
    except OSError as error:
        log.error("cannot start", error=str(error))
        return EXIT_START
    return 0


async def serve(router: Router) -> None:
    """Runs until SIGTERM or SIGINT; reloads on SIGHUP or when the file changes. Raises OSError when it cannot start."""
    loop = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    await router.start()
    reloader = router.reloader
    tasks = [asyncio.create_task(reloader.reload_when(reload)), asyncio.create_task(reloader.watch(reload.set))]
    try:
        await stop.wait()
        log.info("stopping: requests in flight may finish", seconds=router.status.settings.drain_seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await router.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m router", description="Immich Mesh's router.")
    parser.add_argument("--config", type=Path, help="YAML file (default: the variable ROUTER_CONFIG, else none)")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of that file and exit")
    return parser.parse_args()


def _raise_file_limit() -> None:
    """One descriptor per connection: as many as the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
