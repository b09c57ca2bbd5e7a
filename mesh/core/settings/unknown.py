"""Names in the environment that look like settings of ours and are none, each with what was probably meant.

A setting that is misspelt is otherwise a default that nobody notices. Immich's own container and its machine learning
share `.env` files with the mesh: their names are known here too.
"""

import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from pydantic import BaseModel

from mesh.core.settings.base import MeshSettings

PREFIXES = ("OCR_", "CLIP_", "FACE_", "MESH_", "ROUTER_", "MACHINE_LEARNING_", "IMMICH_")
ELSEWHERE = {
    *("ROUTER_CONFIG", "MESH_DATABASE_URL", "MESH_VERSION", "MESH_REGISTRY", "MESH_ADMIN_PORT", "MESH_IMAGE"),
    *("IMMICH_API_KEY", "IMMICH_MESH_URL", "IMMICH_MESH_ADMIN_URL", "IMMICH_MESH_PHOTOS_URL", "IMMICH_MESH_FONT"),
}
"""What is read, but by no settings class: the router's file, options of the command line, compose.yaml."""
NO_EFFECT = {
    "MACHINE_LEARNING_WORKERS": "one process serves each family; run more replicas of it instead",
    "MACHINE_LEARNING_WORKER_TIMEOUT": "every request has a deadline of its own",
    "MACHINE_LEARNING_HTTP_KEEPALIVE_TIMEOUT_S": "ROUTER_LISTENERS__IMMICH_ML__KEEPALIVE_SECONDS is that",
    "MACHINE_LEARNING_REQUEST_THREADS": "OCR_THREADS, CLIP_THREADS and FACE_THREADS say how many cores are used",
    "MACHINE_LEARNING_MODEL_INTER_OP_THREADS": "models run their operators one after the other",
    "MACHINE_LEARNING_MODEL_TTL_POLL_S": "idle models are looked for by themselves",
    "MACHINE_LEARNING_MODEL_ARENA": "the runtime's memory is set by itself",
    "MACHINE_LEARNING_PRELOAD__CLIP": "MACHINE_LEARNING_PRELOAD__CLIP__TEXTUAL and __VISUAL are read",
    "MACHINE_LEARNING_PRELOAD__FACIAL_RECOGNITION": "MACHINE_LEARNING_PRELOAD__FACIAL_RECOGNITION__DETECTION and "
    "__RECOGNITION are read",
    "MT_PHOTOS_API": "the MT Photos API is served by the router itself, with MT_PHOTOS_API_KEY",
    "ONNX_PROVIDERS": "DEVICE is that",
}
"""Settings of Immich ML and of the predecessor without a meaning here."""
NO_EFFECT_GROUPS = {
    "MACHINE_LEARNING_ANN": "there is no ARM NN runtime",
    "MACHINE_LEARNING_RKNN": "there is no Rockchip runtime",
    "MACHINE_LEARNING_ROCM_PRECISION": "the service chooses the precision",
}
CLOSE = 0.8
"""Likeness of two names, 0 to 1, from which one is taken for the other misspelt."""
_SERVICE_LINK = re.compile(r"_(SERVICE_(HOST|PORT.*)|PORT_\d+_.*)$")
"""What Kubernetes and Docker set in a container for each neighbour."""


@dataclass(frozen=True)
class UnknownSetting:
    """A name that nothing reads. `advice` says what was probably meant, or why it has no effect."""

    name: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name} {self.advice}"


def unknown_settings(
    environment: Mapping[str, str], kinds: Iterable[type[MeshSettings]], prefixes: tuple[str, ...] = PREFIXES
) -> list[UnknownSetting]:
    """What of the environment begins like a setting and is none of `kinds`; values are neither read nor shown.

    Args:
        environment: names as keys.
        kinds: all settings classes whose prefixes are looked at.
        prefixes: what a setting begins with.
    """
    names: set[str] = set(ELSEWHERE)
    groups: set[str] = set()
    for kind in kinds:
        own, open_ended = known_names(kind)
        names |= own
        groups |= open_ended
    found = []
    for given in sorted(environment):
        name = given.upper()
        if name in names or name.startswith(tuple(groups)) or _SERVICE_LINK.search(name):
            continue
        if name in NO_EFFECT or name.startswith(prefixes):
            advice = _advice(name, names)
            found += [UnknownSetting(given, advice)] if advice else []
    return found


def known_names(kind: type[MeshSettings]) -> tuple[set[str], set[str]]:
    """All names that set something in `kind`, and the beginnings below which any name does (`ROUTER_CLUSTERS__`)."""
    names: set[str] = set()
    groups: set[str] = set()
    for place, annotation in _fields(kind, ()):
        variables = kind.variables(place)
        names |= {name.upper() for name in variables}
        if typing.get_origin(annotation) is dict:
            groups.add(f"{variables[0].upper()}__")
    return names, groups


def _fields(model: type[BaseModel], place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, field in model.model_fields.items():
        yield (*place, name), field.annotation
        for inside in _models(field.annotation):
            yield from _fields(inside, (*place, name))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The settings class that a field holds, itself or as an alternative to nothing."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (types.UnionType, typing.Union):
        for one in typing.get_args(annotation):
            yield from _models(one)


def _advice(name: str, known: set[str]) -> str:
    """What to say about a name that nothing reads; empty where it is Immich's own affair."""
    if reason := NO_EFFECT.get(name):
        return f"has no effect here: {reason}"
    if reason := next((why for group, why in NO_EFFECT_GROUPS.items() if name.startswith(group)), ""):
        return f"has no effect here: {reason}"
    if meant := _meant(name, known):
        return f"is no setting: did you mean {meant}?"
    return "" if name.startswith("IMMICH_") else "is no setting (docs/settings.md lists them)"


def _meant(name: str, known: set[str]) -> str:
    """The known name that this one is most like, or those that end in it; empty when there is none."""
    prefix = next((one for one in PREFIXES if name.startswith(one)), "")
    rest = name.removeprefix(prefix)
    beside = sorted(other.removeprefix(prefix) for other in known if other.startswith(prefix))
    # Immich's server has many names of its own, which end like ours.
    if prefix != "IMMICH_":
        ending = [other for other in beside if other.endswith(f"__{rest}")]
        if ending:
            return prefix + next((other for other in ending if "IMMICH_ML" in other), ending[0])
        if longer := [other for other in beside if other.startswith(f"{rest}_NAME")]:
            return prefix + longer[0]
        if elsewhere := [f"{other}{rest}" for other in PREFIXES if f"{other}{rest}" in known]:
            return " or ".join(elsewhere)
    likeness, _, nearest = max(((_likeness(rest, other), -len(other), other) for other in beside), default=(0.0, 0, ""))
    return prefix + nearest if likeness >= CLOSE else ""


def _likeness(name: str, known: str) -> float:
    """How alike two names are, 0 to 1, a known name's beginning counting for itself: OCR_MODLE is OCR_MODEL_NAME."""
    return max(SequenceMatcher(None, name, other).ratio() for other in (known, known[: len(name)]))
