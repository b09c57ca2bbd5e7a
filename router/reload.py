"""Reloading: the configuration file is read again on SIGHUP, by the admin API, or when it changed."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from mesh.core.logs import set_level
from router.config import RouterSettings
from router.config.file import ConfigError, load
from router.dispatch.cluster_manager import ClusterManager
from router.listeners.server.access import AccessLog
from router.listeners.status import ReloadReport, RouterStatus
from router.metrics import RouterMetrics

log = structlog.get_logger()

# What a reload cannot change while sockets are open.
_FIXED = ("listeners", "metrics_host", "metrics_port", "log_format")


class Reloader:
    """Gives the parts of a running router its new configuration.

    Args:
        status: holds the file's path and the settings in use.
        clusters, access_log: what a reload changes, besides the log level.
        metrics: counts reloads.
    """

    def __init__(
        self, status: RouterStatus, clusters: ClusterManager, access_log: AccessLog, metrics: RouterMetrics
    ) -> None:
        self._status = status
        self._clusters = clusters
        self._access_log = access_log
        self._metrics = metrics

    async def reload(self) -> ReloadReport:
        """Reads the file again. A bad one changes nothing and is reported."""
        problems: Sequence[str] = ()
        restart: tuple[str, ...] = ()
        try:
            settings = await asyncio.to_thread(load, self._status.config_file)
            await self._clusters.apply(settings)
            restart = tuple(_fixed_changes(self._status.settings, settings))
            self._status.settings = settings
            self._access_log.enabled = settings.access_log
            set_level(settings.log_level)
        except ConfigError as error:
            problems = error.problems
        except OSError as error:
            problems = [str(error)]
        report = self._status.last_reload = ReloadReport(datetime.now(UTC), tuple(problems), restart)
        self._metrics.reloads.labels("failed" if problems else "ok").inc()
        if problems:
            log.error("configuration not reloaded, the old one stays", problems=list(problems))
        else:
            log.info("configuration reloaded", restart_needed=list(restart))
        return report

    async def reload_when(self, asked: asyncio.Event) -> None:
        """Reloads whenever the event is set, until cancelled."""
        while True:
            await asked.wait()
            asked.clear()
            await self.reload()

    async def watch(self, changed: Callable[[], None]) -> None:
        """Calls back when the file has changed, until cancelled.

        Looks now and then: a ConfigMap changes by a new link, which no file watcher of one inode sees.
        """
        path = self._status.config_file
        if path is None:
            return
        seen = _fingerprint(path)
        while True:
            await asyncio.sleep(self._status.settings.reload_interval_seconds)
            now = await asyncio.to_thread(_fingerprint, path)
            if now != seen:
                seen = now
                changed()


def _fixed_changes(old: RouterSettings, new: RouterSettings) -> list[str]:
    return [name for name in _FIXED if getattr(old, name) != getattr(new, name)]


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
