"""The part `entries` of a prediction request: JSON in Immich's words, turned into the mesh's tasks.

Shape (recorded from Immich 2.7.5): `{task: {type: {"modelName", "options"}}}`.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictFloat, ValidationError

from router.domain.tasks import (
    CLIP,
    FACE,
    OCR,
    ClipTextual,
    ClipVisual,
    FaceRecognition,
    ForeignTask,
    OcrDialect,
    Task,
    TextRecognition,
)
from router.errors import InvalidEntriesError

MAX_ENTRIES_BYTES = 64 * 1024
MAX_TASKS = 16
"""Immich asks for one at a time."""
MIN_RESOLUTION = 32
"""Smallest `maxResolution` that the OCR service takes; Immich lets people set less."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:/-]{0,127}")


def _model_name(value: str) -> str:
    # A name becomes a folder of the model cache: nothing that could lead out of it passes. Immich itself cuts
    # `M-CLIP/LABSE-Vit-L-14` and `ViT-B-32::openai` down in the same way.
    if not _NAME.fullmatch(value) or ".." in value:
        raise ValueError("not a model name: letters, digits and . _ + - : / are allowed")
    return value.rsplit("/", 1)[-1].replace(":", "_")


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class _Options(_Read):
    min_score: Annotated[StrictFloat, Field(ge=0, le=1)] | None = Field(None, alias="minScore")
    max_resolution: Annotated[StrictFloat, Field(ge=1, le=65_536)] | None = Field(None, alias="maxResolution")
    language: Annotated[str, Field(max_length=64)] | None = None


class _Entry(_Read):
    model_name: Annotated[str, AfterValidator(_model_name)] = Field(alias="modelName")
    options: _Options | None = None

    @property
    def opts(self) -> _Options:
        return self.options or _NO_OPTIONS


_NO_OPTIONS = _Options()


class _ClipEntry(_Read):
    visual: _Entry | None = None
    textual: _Entry | None = None

    def task(self) -> Task:
        if self.visual and self.textual:
            raise ValueError("ask for either 'visual' or 'textual': one answer holds one 'clip'")
        if self.visual:
            return ClipVisual(self.visual.model_name)
        if self.textual:
            return ClipTextual(self.textual.model_name, self.textual.opts.language or "")
        raise ValueError("needs 'visual' or 'textual'")


class _Face(_Read):
    detection: _Entry | None = None
    recognition: _Entry | None = None

    def task(self) -> Task:
        if self.detection is None and self.recognition is None:
            raise ValueError("needs 'detection' and 'recognition'")
        names = {entry.model_name for entry in (self.detection, self.recognition) if entry}
        if len(names) > 1:
            raise ValueError(f"detection and recognition must name one pack, not {' and '.join(sorted(names))}")
        entry = self.detection or self.recognition
        assert entry is not None
        return FaceRecognition(names.pop(), _score(entry))


class _Ocr(_Read):
    detection: _Entry | None = None
    recognition: _Entry | None = None

    def task(self) -> Task:
        if self.recognition is None:
            raise ValueError("needs 'recognition', and 'detection' beside it")
        detection, recognition = self.detection, self.recognition
        resolution = detection.opts.max_resolution if detection else recognition.opts.max_resolution
        return TextRecognition(
            model_name=recognition.model_name,
            min_detection_score=_score(detection) if detection else None,
            min_recognition_score=_score(recognition),
            max_resolution=max(MIN_RESOLUTION, int(resolution)) if resolution is not None else None,
            language=recognition.opts.language or (detection.opts.language if detection else None) or "",
            dialect=OcrDialect.IMMICH if detection else OcrDialect.JOINED,
        )


_SHAPES: dict[str, type[_ClipEntry] | type[_Face] | type[_Ocr]] = {CLIP: _ClipEntry, FACE: _Face, OCR: _Ocr}


def _score(entry: _Entry) -> float | None:
    return entry.opts.min_score


@lru_cache(maxsize=64)
def parse_entries(data: bytes) -> tuple[Task, ...]:
    """The tasks that `entries` asks for, one for each of its keys, in their order.

    Tasks and types unknown to the mesh become `ForeignTask`: whether anyone serves them is for the routes to say.
    Immich sends the same bytes with every photo of a job, so they are read once.

    Raises:
        InvalidEntriesError: with one sentence per defect, naming the place.
    """
    if len(data) > MAX_ENTRIES_BYTES:
        raise InvalidEntriesError(f"the part 'entries' is longer than {MAX_ENTRIES_BYTES} bytes")
    try:
        entries = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidEntriesError(f"the part 'entries' is not JSON: {error}") from error
    if not isinstance(entries, dict) or not entries:
        raise InvalidEntriesError(
            'the part \'entries\' must be a JSON object such as {"clip":{"visual":{"modelName":"…"}}}'
        )
    if len(entries) > MAX_TASKS:
        raise InvalidEntriesError(f"the part 'entries' asks for more than {MAX_TASKS} tasks")
    return tuple(_task(name, types) for name, types in entries.items())


def _task(name: str, types: Any) -> Task:
    if not isinstance(types, dict) or not types:
        raise InvalidEntriesError(
            f"entries.{name}: must be an object of types such as {{'visual': {{'modelName': '…'}}}}"
        )
    shape = _SHAPES.get(name)
    if shape is None or not any(kind in shape.model_fields for kind in types):
        return _foreign(name, types)
    try:
        return shape.model_validate(types).task()
    except ValidationError as error:
        raise InvalidEntriesError("; ".join(_sentence(name, detail) for detail in error.errors())) from error
    except ValueError as error:
        raise InvalidEntriesError(f"entries.{name}: {error}") from error


def _sentence(task: str, detail: Any) -> str:
    place = [str(step) for step in detail["loc"]]
    message = "must be an object" if detail["type"] == "model_type" else detail["msg"].removeprefix("Value error, ")
    shown = detail["input"] if isinstance(detail["input"], str | int | float | bool | None) else "…"
    return f"entries.{'.'.join([task, *place])}: {message} (got {shown!r})"[:500]


def _foreign(name: str, types: dict[str, Any]) -> ForeignTask:
    kind, entry = next(iter(types.items()))
    model = entry.get("modelName") if isinstance(entry, dict) else None
    return ForeignTask(name, kind, model if isinstance(model, str) else "", orjson.dumps(types))


def write_entries(tasks: Iterable[Task]) -> bytes:
    """The part `entries` that asks for these tasks in Immich's words: the inverse of `parse_entries`."""
    return orjson.dumps({task.task: _types(task) for task in tasks})


def _types(task: Task) -> Any:
    match task:
        case ForeignTask():
            return orjson.Fragment(task.entry)
        case ClipTextual():
            return {"textual": _entry(task.model_name, language=task.language or None)}
        case ClipVisual():
            return {"visual": _entry(task.model_name)}
        case FaceRecognition():
            return {
                "detection": _entry(task.model_name, minScore=task.min_score),
                "recognition": _entry(task.model_name),
            }
        case TextRecognition():
            detection = _entry(task.model_name, minScore=task.min_detection_score, maxResolution=task.max_resolution)
            return {"detection": detection, "recognition": _entry(task.model_name, minScore=task.min_recognition_score)}


def _entry(model_name: str, **options: Any) -> dict[str, Any]:
    return {"modelName": model_name, "options": {key: value for key, value in options.items() if value is not None}}
