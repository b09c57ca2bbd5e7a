"""How a part of a model gets from the hub to memory: one download for all parts, several attempts to read each."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic

import structlog

from mesh.core.errors import MeshError, ModelNotFoundError, ModelUnavailableError
from mesh.hub.catalogue import Family
from mesh.hub.progress import DownloadProgress
from mesh.hub.store import ModelStore
from mesh.serving import metrics
from mesh.serving.lifecycle.slot import Key, M

log = structlog.get_logger()

LOAD_ATTEMPTS = 3
RETRY_SECONDS = 0.5
"""Wait before the second attempt to read; doubles for the third."""


class Loader(Generic[M]):
    """Fetches the files of one family's models and reads their parts.

    Args:
        family: which of the cache's folders.
        store: finds and fetches the files.
        read: reads one part (name, part, the model's folder) into memory. Blocking; runs on a thread of its own.
        tell: hears, on the event loop, how far a model's download is.
        pause: waits between attempts to read.
    """

    def __init__(
        self,
        family: Family,
        store: ModelStore,
        read: Callable[[str, str, Path], M],
        tell: Callable[[str, DownloadProgress], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._family = family
        self._store = store
        self._read = read
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

    async def read(self, key: Key, folder: Path) -> M:
        """The part in memory. Raises ModelUnavailableError when the last attempt fails too, ModelNotFoundError at
        once."""
        which = {"model": key.name, "part": key.part}
        for attempt in range(1, LOAD_ATTEMPTS + 1):
            started = time.perf_counter()
            try:
                model = await asyncio.to_thread(self._read, key.name, key.part, folder)
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
                raise ModelUnavailableError(f"model {key.name} ({key.part}) cannot be read: {error}") from error
            else:
                seconds = time.perf_counter() - started
                metrics.MODEL_LOAD_SECONDS.labels(key.name, key.part).observe(seconds)
                memory = model.memory_bytes // 1_000_000
                log.info("model loaded", **which, seconds=round(seconds, 2), memory_mb=memory, provider=model.provider)
                return model
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
