"""Why a request waits, in one line: "ViT-B-16__cn-clip is being downloaded: 40 % of 754 MB, 3 min left"."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from mesh.cli.clients.admin_client import ModelList
from mesh.cli.output.language import tr
from mesh.cli.output.phrases import localised

PATIENCE_SECONDS = 5.0
"""Nothing is said about a request that is answered by then."""
EVERY_SECONDS = 2.0


def held() -> str:
    """The reason when nothing nearer is known."""
    return tr("a request is held while its service is not ready; `immich-mesh doctor` tells which, and why")


class Waiting:
    """Puts what the admin API tells into words, and from one look to the next how long it may take.

    Args:
        cluster: whose models are waited for: ocr, clip or face.
        total_bytes: what a model's download comes to, by its name; 0 where that is unknown.
        clock: seconds, for the pace of a download.
    """

    def __init__(
        self, cluster: str, total_bytes: Callable[[str], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._total_bytes = total_bytes
        self._clock = clock
        self._first: dict[str, tuple[float, float]] = {}

    def reason(self, models: ModelList) -> str:
        """The line; the general one where nothing is on its way."""
        if error := models.errors.get(self._cluster):
            text = tr("the {service} service does not answer ({reason})")
            return text.format(service=self._cluster, reason=localised(error.split(";")[0]))
        parts = [part for part in models.parts if part.cluster == self._cluster]
        for part in parts:
            if part.state == "downloading":
                share = self._share(part.name, part.download_progress)
                return tr("{model} is being downloaded: {share}").format(model=part.name, share=share)
        for part in parts:
            if part.state == "loading":
                return tr("{model} is being loaded").format(model=part.name)
        return held()

    def _share(self, name: str, progress: float) -> str:
        total = self._total_bytes(name)
        share_of = tr("{share} of {megabytes} MB").format(share=f"{progress:.0%}", megabytes=f"{total / 1e6:,.0f}")
        text = share_of if total else f"{progress:.0%}"
        now = self._clock()
        began, share = self._first.setdefault(name, (now, progress))
        if progress <= share or now <= began:
            return text
        seconds = (1 - progress) * (now - began) / (progress - share)
        left = tr("{seconds} s left") if seconds < 90 else tr("{minutes} min left")
        return f"{text}, {left.format(seconds=round(seconds), minutes=round(seconds / 60))}"


class Repeated:
    """Does something every few seconds while a block runs, from a first moment of patience on.

    Args:
        say: done in a thread of its own; its errors are for it to handle.
        patience_seconds: before the first time.
        every_seconds: from one time to the next.
    """

    def __init__(
        self, say: Callable[[], None], patience_seconds: float = PATIENCE_SECONDS, every_seconds: float = EVERY_SECONDS
    ) -> None:
        self._say = say
        self._patience = patience_seconds
        self._every = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def _run(self) -> None:
        seconds = self._patience
        while not self._over.wait(seconds):
            self._say()
            seconds = self._every
