"""`immich-mesh models quantise`: int8 versions of a model's graphs, made of the reader's own photos."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import clip_service.__main__
import face_service.__main__
import ocr_service.__main__
from mesh.cli.commands.call_folder import photos_below
from mesh.cli.machine.settings import all_service_settings
from mesh.cli.output.language import tr
from mesh.cli.output.outcome import CommandError, ExitCode
from mesh.hub.catalogue import Family, ModelEntry
from mesh.hub.store import ModelStore
from mesh.serving.quantisation import inputs_of_photos
from mesh.serving.runtimes.int8 import quantiser
from mesh.serving.runtimes.int8.files import LEAST_COSINE, Int8Files, Manifest
from mesh.serving.runtimes.int8.inputs import HELD_OUT

SERVICES: dict[Family, Callable[..., Any]] = {
    Family.OCR: ocr_service.__main__.build,
    Family.CLIP: clip_service.__main__.build,
    Family.FACE: face_service.__main__.build,
}


def quantise(
    entry: ModelEntry, store: ModelStore, folder: Path, most: int, tell: Callable[[str], None]
) -> dict[str, Manifest]:
    """Makes the int8 version of every graph that photos run through; what each was made of, by its part.

    Args:
        entry: the model, which the cache has.
        store: the cache.
        folder: with photos.
        most: photos to learn from.
        tell: hears of each step.

    Raises:
        CommandError, MeshError: no photos, no such model here, or the packages are missing.
    """
    quantiser.require()
    place = store.find(entry.family, entry.name)
    if place is None:
        raise CommandError(
            f"{entry.name} is not in the cache: immich-mesh models pull {entry.short_name}", ExitCode.REFUSED
        )
    if not place.is_relative_to(store.cache_folder):
        raise CommandError(
            f"{entry.name} comes with a package, and its int8 version with the service", ExitCode.REFUSED
        )
    chosen = list(_spread(photos_below(folder), most))
    settings = all_service_settings()[entry.family].model_copy(
        update={"model_name": entry.name, "cache_folder": store.cache_folder, "offline": True, "fp16": False}
    )
    tell(f"{entry.name} handles {len(chosen)} photos in fp32")
    photos = (path.read_bytes() for path in chosen)
    inputs = asyncio.run(inputs_of_photos(settings, SERVICES[entry.family], photos))
    made = {}
    for graph, feeds in inputs.items():
        part = graph.relative_to(place).as_posix()
        tell(f"quantising {part}")
        # OCR is judged by the text that it reads, the others by their directions.
        apart = 0 if entry.family is Family.OCR else HELD_OUT
        files = Int8Files.beside(graph)
        made[part] = quantiser.quantise(graph, feeds[apart:], files, f"{len(chosen)} photos", feeds[:apart])
    return made


def as_json(made: dict[str, Manifest]) -> dict[str, Any]:
    """For programs."""
    return {part: asdict(manifest) for part, manifest in made.items()}


def sentence(part: str, manifest: Manifest) -> str:
    """For people: what came of a graph."""
    if manifest.cosine is None:
        return tr("{graph}: quantised; its service compares what it reads when it loads it").format(graph=part)
    text = (
        tr("{graph}: cosine with fp32 at least {cosine}")
        if manifest.cosine >= LEAST_COSINE
        else tr("{graph}: cosine with fp32 {cosine}, too little to be served")
    )
    return text.format(graph=part, cosine=f"{manifest.cosine:.4f}")


def _spread(paths: list[Path], most: int) -> Iterator[Path]:
    """So many of them, at equal distances."""
    count = min(most, len(paths))
    return (paths[number * len(paths) // count] for number in range(count))
