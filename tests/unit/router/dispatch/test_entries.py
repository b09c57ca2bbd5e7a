"""The part `entries`: Immich's words, the predecessor's, and the sentences that answer anything else."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.dispatch.wire.entries import parse_entries, write_entries
from router.dispatch.wire.forms import parse_form
from router.domain.tasks import ClipTextual, ClipVisual, FaceRecognition, ForeignTask, OcrDialect, Task, TextRecognition
from router.errors import InvalidEntriesError
from tests.contract.recorded import recorded


def entries(value: Any) -> tuple[Task, ...]:
    return parse_entries(json.dumps(value).encode())


def entry(name: str = "m", **options: Any) -> dict[str, Any]:
    return {"modelName": name, "options": options} if options else {"modelName": name}


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("predict-clip-visual", ClipVisual("ViT-B-32__openai")),
        ("predict-clip-textual-language", ClipTextual("ViT-B-32__openai", "zh-CN")),
        ("predict-clip-textual-ocr-prefix", ClipTextual("ViT-B-32__openai", "")),
        ("predict-facial-recognition", FaceRecognition("buffalo_l", 0.7)),
        ("predict-ocr", TextRecognition("PP-OCRv5_mobile", 0.5, 0.8, 736)),
    ],
)
def test_recorded_entries(name: str, task: Task) -> None:
    request = recorded(name)
    form = parse_form(request.body, request.header("content-type"))
    assert parse_entries(form["entries"].data) == (task,)


def test_several_tasks_keep_their_order() -> None:
    found = entries({"ocr": {"recognition": entry("ocr")}, "clip": {"visual": entry()}})
    assert found == (TextRecognition("ocr", dialect=OcrDialect.JOINED), ClipVisual("m"))


def test_a_resolution_below_what_the_service_takes_is_raised_not_refused() -> None:
    found = entries({"ocr": {"detection": entry(maxResolution=8), "recognition": entry()}})
    assert found == (TextRecognition("m", max_resolution=32),)


@pytest.mark.parametrize(
    ("name", "plain"), [("ViT-B-32::openai", "ViT-B-32__openai"), ("M-CLIP/LABSE-Vit-L-14", "LABSE-Vit-L-14")]
)
def test_immichs_other_spellings_of_a_name(name: str, plain: str) -> None:
    assert entries({"clip": {"visual": entry(name)}}) == (ClipVisual(plain),)


def test_tasks_and_types_of_others_are_kept_for_others() -> None:
    (task,) = entries({"pose": {"whole": entry("p", x=1)}})
    assert isinstance(task, ForeignTask)
    assert (task.task, task.type, task.model_name) == ("pose", "whole", "p")
    assert json.loads(task.entry) == {"whole": entry("p", x=1)}
    (other,) = entries({"clip": {"audio": entry("a")}})
    assert isinstance(other, ForeignTask)


def face(**options: Any) -> Any:
    return {"facial-recognition": {"detection": entry(**options), "recognition": entry()}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "must be a JSON object"),
        ({}, "must be a JSON object"),
        ("text", "must be a JSON object"),
        ({"clip": []}, "entries.clip: must be an object"),
        ({"clip": {}}, "entries.clip: must be an object"),
        ({"clip": {"visual": []}}, "entries.clip.visual: must be an object"),
        ({"clip": {"visual": {}}}, "entries.clip.visual.modelName: Field required"),
        ({"clip": {"visual": {"modelName": 5}}}, "entries.clip.visual.modelName: .*string"),
        ({"clip": {"visual": entry(""), "textual": entry()}}, "not a model name"),
        ({"clip": {"visual": entry(), "textual": entry()}}, "either 'visual' or 'textual'"),
        ({"clip": {"visual": entry("../../etc/passwd")}}, "not a model name.*passwd"),
        ({"clip": {"visual": entry("/etc/passwd")}}, "not a model name"),
        ({"clip": {"visual": entry("a\x00b")}}, "not a model name"),
        (face(minScore="abc"), r"facial-recognition.detection.options.minScore: .*number \(got 'abc'\)"),
        (face(minScore=7), r"less than or equal to 1 \(got 7"),
        (face(minScore=-1), "greater than or equal to 0"),
        (face(minScore=True), "number"),
        ({"facial-recognition": {"detection": entry("a"), "recognition": entry("b")}}, "must name one pack"),
        ({"ocr": {"detection": entry()}}, "entries.ocr: needs 'recognition'"),
        ({"ocr": {"detection": entry(maxResolution=0), "recognition": entry()}}, "maxResolution"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(InvalidEntriesError, match=message):
        entries(value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"clip":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidEntriesError):
        parse_entries(data)


def test_megabytes_of_entries_are_refused_unread() -> None:
    with pytest.raises(InvalidEntriesError, match="longer than"):
        parse_entries(b" " * 70_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8) | st.integers(-10, 10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["clip", "visual", "ocr", "detection", "modelName", "options", "minScore", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_understood_or_refused(value: Any) -> None:
    with suppress(InvalidEntriesError):
        assert entries(value)


SCORES = st.none() | st.floats(0, 1)
TASKS = (
    st.builds(ClipVisual, st.just("m"))
    | st.builds(ClipTextual, st.just("m"), st.sampled_from(["", "zh-CN"]))
    | st.builds(FaceRecognition, st.just("m"), SCORES)
    | st.builds(TextRecognition, st.just("m"), SCORES, SCORES, st.none() | st.integers(32, 5000))
)


@given(TASKS)
def test_what_is_written_is_read_again(task: Task) -> None:
    assert parse_entries(write_entries([task])) == (task,)
