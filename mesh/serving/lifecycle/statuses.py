"""What `models list` and the admin page show: every part that is cached, loaded, on its way or failed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from mesh.hub import catalogue
from mesh.hub.catalogue import Family
from mesh.hub.store import ModelStore
from mesh.serving.lifecycle.part import ModelPart, PartFiles
from mesh.serving.lifecycle.slot import SlotState

log = structlog.get_logger()


@dataclass(frozen=True)
class ModelStatus:
    """A part as shown to people; fields as in `immich_mesh.model.v1.Model`."""

    name: str
    part: str
    state: SlotState
    size_bytes: int = 0
    memory_bytes: int = 0
    dimension: int = 0
    provider: str = ""
    last_used_at: float | None = None
    in_use: int = 0
    pinned: bool = False
    download_progress: float = 0.0
    error: str = ""
    download_bytes: int = 0


async def statuses(
    family: Family, store: ModelStore, parts: Sequence[ModelPart[Any]], default: str
) -> list[ModelStatus]:
    """The parts of the models on disk, of those that were asked for and of the default, sorted by name and part."""
    on_disk = await asyncio.to_thread(_on_disk, family, store)
    names = {*on_disk, default, *(name for part in parts for name in part.slots)} - {""}
    shown = {(catalogue.holder(family, name, part.name), part.name): part for name in names for part in parts}
    return [_status(family, part, name, on_disk.get(name)) for (name, _), part in sorted(shown.items(), key=_by_name)]


def _by_name(item: tuple[tuple[str, str], ModelPart[Any]]) -> tuple[str, str]:
    return item[0]


def _on_disk(family: Family, store: ModelStore) -> dict[str, dict[str, int]]:
    """The graphs' sizes in bytes, by model and part."""
    try:
        cached = store.cached(family)
    except OSError as error:
        log.warning("the model cache cannot be read", reason=str(error))
        return {}
    return {
        model.name: {part: PartFiles(family, model.name, part, model.folder).size_bytes() for part in family.parts}
        for model in cached
    }


def _status(family: Family, part: ModelPart[Any], name: str, sizes: dict[str, int] | None) -> ModelStatus:
    slot = part.slots.get(name) or part.empty(name)
    state = SlotState.CACHED if slot.state is SlotState.ABSENT and sizes is not None else slot.state
    entry = catalogue.find(family, name)
    return ModelStatus(
        name=name,
        part=part.name,
        state=state,
        size_bytes=sizes[part.name] if sizes else 0,
        memory_bytes=slot.memory_bytes,
        dimension=slot.loaded.dimension if slot.loaded else (entry.dimension or 0 if entry else 0),
        provider=slot.loaded.provider if slot.loaded else "",
        last_used_at=slot.last_used_at,
        in_use=slot.users,
        pinned=part.pinned,
        download_progress=slot.progress.fraction if slot.progress else 0.0,
        error=slot.failure.error.message if slot.failure else "",
        download_bytes=slot.progress.total_bytes if slot.progress else 0,
    )
