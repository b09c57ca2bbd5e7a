"""How a part of a model gets from the hub to memory: one download for all parts, several attempts to read each."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from mesh.core.errors import MeshError, ModelNotFoundError, ModelUnavailableError
from mesh.hub.catalogue import Family
from mesh.hub.fetch.progress import DownloadProgress
from mesh.hub.store import ModelStore
from mesh.serving import metrics
from mesh.serving.lifecycle.part import ModelPart, PartFiles
from mesh.serving.lifecycle.slot import Loaded, M

log = structlog.get_logger()

LOAD_ATTEMPTS = 3
RETRY_SECONDS = 0.5
"""Wait before the second attempt to read; doubles for the third."""


class Loader:
    """Fetches the files of one family's models and reads their parts.

    Args:
        family: which of the cache's folders.
        store: finds and fetches the files.
        tell: hears, on the event loop, how far a model's download is.
        pause: waits between attempts to read.
    """

    def __init__(
        self,
        family: Family,
        store: ModelStore,
        tell: Callable[[str, DownloadProgress], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._family = family
        self._store = store
        self._tell = tell
        self._pause = pause
        self._fetches: dict[str, asyncio.Task[Path]] = {}

    async def fetch(self, name: str) -> Path:
        """The model's folder, its files complete.

        Raises ModelNotFoundError, ModelUnavailableError (the cache cannot be used, too), UnavailableError (this process
        ends).
        """
        if (task := self._fetches.get(name)) is None:
            loop = asyncio.get_running_loop()

            def tell(progress: DownloadProgress) -> None:
                loop.call_soon_threadsafe(self._note, name, progress)

            task = asyncio.create_task(asyncio.to_thread(self._store.fetch, self._family, name, tell))
            self._fetches[name] = task
            task.add_done_callback(lambda _: self._end(name))
        try:
            return await asyncio.shield(task)
        except OSError as error:
            raise ModelUnavailableError(
                f"the model cache cannot be used: {error} (this process is user {os.getuid()})"
            ) from error

    async def read(self, part: ModelPart[M], files: PartFiles) -> Loaded[M]:
        """The part in memory. Raises ModelUnavailableError when the last attempt fails too, ModelNotFoundError at
        once."""
        which = {"model": files.model, "part": files.part}
        for attempt in range(1, LOAD_ATTEMPTS + 1):
            started = time.perf_counter()
            try:
                loaded = await asyncio.to_thread(part.read, files)
            except ModelNotFoundError:
                raise
            except MeshError as error:
                if attempt == LOAD_ATTEMPTS:
                    raise ModelUnavailableError(error.message) from error
                log.warning("model load failed, trying again", **which, attempt=attempt, reason=error.message)
                await self._pause(RETRY_SECONDS * 2 ** (attempt - 1))
            except Exception as error:
                # A loader reads files that people put there: whatever is wrong with them is told, foreseen or not.
                log.exception("model cannot be read", **which)
                raise ModelUnavailableError(f"model {files.model} ({files.part}) cannot be read: {error}") from error
            else:
                seconds = time.perf_counter() - started
                metrics.MODEL_LOAD_SECONDS.labels(files.model, files.part).observe(seconds)
                memory = loaded.engine.memory_bytes // 1_000_000
                log.info("model loaded", **which, seconds=round(seconds, 2), memory_mb=memory, provider=loaded.provider)
                return loaded
        raise AssertionError("unreachable: the last attempt returns or raises")

    def stop_fetching(self) -> None:
        """Ends downloads and conversions under way; what is there is kept and a later process goes on from it."""
        self._store.close()

    def cancel(self) -> None:
        """Waits for no download any more."""
        for task in self._fetches.values():
            task.cancel()

    def _note(self, name: str, progress: DownloadProgress) -> None:
        if name in self._fetches:  # a thread's last words may come after its end
            metrics.DOWNLOAD_PROGRESS.labels(name).set(progress.fraction)
            self._tell(name, progress)

    def _end(self, name: str) -> None:
        del self._fetches[name]
        with suppress(KeyError):  # nothing was downloaded
            metrics.DOWNLOAD_PROGRESS.remove(name)
