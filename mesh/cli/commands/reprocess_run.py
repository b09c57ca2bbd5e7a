"""The run behind `immich-mesh reprocess`: what is selected, what is done already, a few at a time, and the report."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mesh.cli.clients.front_door_client import FrontDoorClient, RefreshFailedError
from mesh.cli.video.frames import VideoError, decoded

OCR, CLIP = "ocr", "clip"
PLAIN_QUERY_LIMIT = 100
"""Photos of a query without `ocr:`; a search by look ranks the whole library and never ends by itself."""


@dataclass(frozen=True)
class Selection:
    """Which photos: exactly one of these is set."""

    asset_ids: tuple[str, ...] = ()
    query: str = ""
    album: str = ""
    missing: bool = False
    everything: bool = False


@dataclass(frozen=True)
class ReprocessOrder:
    """One run: what of which photos, how many at a time, or only counted; `faces` by Immich's own job; of how many
    pictures of a video its text is made, beside its preview."""

    selection: Selection
    kinds: frozenset[str]
    faces: bool
    concurrency: int
    dry_run: bool
    video_frames: int = 0


@dataclass(frozen=True)
class PhotoOutcome:
    """What came of one photo.

    Attributes:
        asset_id: which.
        before, after: its lines of text; None when text was not refreshed.
        clip: whether its vector was.
        error: why it failed; empty when it did not.
        name: its file's name; empty where it is not known.
    """

    asset_id: str
    before: tuple[str, ...] | None = None
    after: tuple[str, ...] | None = None
    clip: bool = False
    error: str = ""
    name: str = ""

    @property
    def changed(self) -> bool:
        """Whether its text is another one now."""
        return self.before != self.after


Work = dict[str, frozenset[str]]
"""Asset ids and what to refresh of each, in order."""


async def select(client: FrontDoorClient, selection: Selection, kinds: frozenset[str]) -> Work:
    """The photos to refresh. Those of partners and shared albums are left out: only owners may refresh."""
    if selection.missing:
        lost = await client.missing(ocr=OCR in kinds, clip=CLIP in kinds)
        work: Work = {}
        for kind in sorted(kinds):
            for asset_id in lost.get(kind, ()):
                work[asset_id] = work.get(asset_id, frozenset()) | {kind}
        return work
    if selection.asset_ids:
        return dict.fromkeys(selection.asset_ids, kinds)
    mine = await client.user_id()
    work = {}
    for kind, body, limit in await _searches(client, selection):
        count = 0
        async for item in client.found(body, kind):
            if item["ownerId"] == mine:
                work[item["id"]] = kinds
            count += 1
            if limit and count >= limit:
                break
    return work


async def unreadable(client: FrontDoorClient, kinds: frozenset[str]) -> int:
    """How many photos lack one of the kinds and have no preview that it could be made from."""
    if not kinds:
        return 0
    return len((await client.missing(ocr=OCR in kinds, clip=CLIP in kinds)).get("noPreview", ()))


async def _searches(client: FrontDoorClient, selection: Selection) -> list[tuple[str, dict[str, Any], int]]:
    if selection.query:
        is_text = selection.query.strip().lower().startswith("ocr")
        return [("smart", {"query": selection.query}, 0 if is_text else PLAIN_QUERY_LIMIT)]
    if selection.album:
        album = await client.album_id(selection.album)
        return [("metadata", {"albumIds": [album], "visibility": shown}, 0) for shown in ("timeline", "archive")]
    return [("metadata", {"visibility": shown}, 0) for shown in ("timeline", "archive")]


class Journal:
    """What a run has done so far, so that the same command goes on where it was interrupted.

    One line for each photo, written as soon as it is done; the file is removed when the run ends by itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    @classmethod
    def of(cls, url: str, selection: Selection, kinds: frozenset[str], video_frames: int = 0) -> "Journal":
        """The journal of this command."""
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        command = json.dumps([url, asdict(selection), sorted(kinds), video_frames])
        name = hashlib.sha256(command.encode()).hexdigest()[:16]
        return cls(state / "immich-mesh" / "reprocess" / f"{name}.jsonl")

    def done(self) -> dict[str, PhotoOutcome]:
        """The photos that an earlier run has finished; those that failed are tried again."""
        if not self.path.is_file():
            return {}
        found = {}
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                outcome = read_outcome(json.loads(line))
            except (ValueError, TypeError):
                continue  # the line that was being written when the machine stopped
            if not outcome.error:
                found[outcome.asset_id] = outcome
        return found

    def write(self, outcome: PhotoOutcome) -> None:
        """Notes one photo, at once."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        self._file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self, *, finished: bool) -> None:
        """Ends it; a finished run leaves nothing behind."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if finished:
            self.path.unlink(missing_ok=True)


def read_outcome(record: Mapping[str, Any]) -> PhotoOutcome:
    """An outcome as it was written."""
    texts = {
        name: None if record[name] is None else tuple(str(line) for line in record[name])
        for name in ("before", "after")
    }
    name = str(record.get("name", ""))
    return PhotoOutcome(
        str(record["asset_id"]), **texts, clip=bool(record["clip"]), error=str(record["error"]), name=name
    )


@dataclass
class ReprocessReport:
    """What a run came to; `resumed` counts the photos that an earlier run had done."""

    outcomes: list[PhotoOutcome] = field(default_factory=list)
    resumed: int = 0

    @property
    def changed(self) -> list[PhotoOutcome]:
        """Photos whose text is another one now."""
        return [outcome for outcome in self.outcomes if not outcome.error and outcome.changed]

    @property
    def failed(self) -> list[PhotoOutcome]:
        """Photos that could not be refreshed."""
        return [outcome for outcome in self.outcomes if outcome.error]


async def reprocess(
    client: FrontDoorClient,
    work: Work,
    journal: Journal,
    *,
    concurrency: int,
    video_frames: int = 0,
    advance: Callable[[ReprocessReport], None] = lambda report: None,
    report: ReprocessReport | None = None,
) -> ReprocessReport:
    """Refreshes the photos, `concurrency` at a time.

    The mesh's own bounds keep this gentle: a photo waits in its queue behind Immich's requests, and a busy mesh makes
    the client wait (`FrontDoorClient.refresh`). Filled into `report`, so that a caller who is interrupted has it.
    """
    done = journal.done()
    report = ReprocessReport() if report is None else report
    report.outcomes.extend(done[asset_id] for asset_id in work if asset_id in done)
    report.resumed = len(report.outcomes)
    waiting = iter([(asset_id, kinds) for asset_id, kinds in work.items() if asset_id not in done])
    advance(report)

    async def worker() -> None:
        for asset_id, kinds in waiting:
            outcome = await _one(client, asset_id, kinds, video_frames)
            journal.write(outcome)
            report.outcomes.append(outcome)
            advance(report)

    finished = False
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
        finished = True
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        journal.close(finished=finished)
    return report


async def _one(client: FrontDoorClient, asset_id: str, kinds: frozenset[str], video_frames: int) -> PhotoOutcome:
    try:
        payload = await _refreshed(client, asset_id, kinds, video_frames)
    except (RefreshFailedError, VideoError) as error:
        return PhotoOutcome(asset_id, error=str(error), name=await client.name(asset_id))
    text, name = payload.get(OCR), str(payload.get("originalFileName", ""))
    if text is None:
        return PhotoOutcome(asset_id, clip=CLIP in payload, name=name)
    return PhotoOutcome(asset_id, tuple(text["before"]), tuple(text["after"]), CLIP in payload, name=name)


async def _refreshed(
    client: FrontDoorClient, asset_id: str, kinds: frozenset[str], video_frames: int
) -> dict[str, Any]:
    if not (video_frames and OCR in kinds and await client.is_video(asset_id)):
        return await client.refresh(asset_id, kinds)
    pictures = await decoded(client.playback(asset_id, video_frames))
    payload = await client.refresh_video(asset_id, pictures)
    rest = kinds - {OCR}
    return payload | (await client.refresh(asset_id, rest) if rest else {})
