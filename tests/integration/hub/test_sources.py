"""A model has several sources, its content is pinned, and the hub's token stays with the hub."""

import hashlib
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from mesh.core.errors import ModelNotFoundError, UnavailableError
from mesh.hub import catalogue, pin
from mesh.hub.entry import Family, ModelEntry, ModelFile, ModelSource, SourceKind
from mesh.hub.fetch.download import Downloader
from mesh.hub.fetch.problems import SourceError
from mesh.hub.fetch.remote_file import Patience, RemoteFile
from mesh.hub.store import ModelStore
from tests.builders import write_faces
from tests.builders.hub import COMMIT as HUB_COMMIT
from tests.builders.hub import FakeHub, fake_hub

QUICK = Patience(connect_seconds=2, read_seconds=2, attempts=2, pause_seconds=0.001)
GRAPH = "recognition/model.onnx"
PATHS = ("detection/model.onnx", GRAPH)
COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


def content_of(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in PATHS}


@pytest.fixture
def content(tmp_path: Path) -> dict[str, bytes]:
    return content_of(write_faces(tmp_path / "origin")) | {"config.json": b"{}"}


@pytest.fixture
def hub(content: dict[str, bytes]) -> Iterator[FakeHub]:
    with fake_hub({"first/faces": content, "second/faces": content}) as running:
        yield running


def sums(content: dict[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(data).hexdigest() for path, data in content.items()}


def entry(*sources: ModelSource) -> ModelEntry:
    return ModelEntry(Family.FACE, "faces", sources, 512, 1, "MIT")


def on_hub(name: str, **changes: object) -> ModelSource:
    return replace(ModelSource(SourceKind.HUB, f"{name}/faces"), **changes)  # type: ignore[arg-type]


def listed(content: dict[str, bytes]) -> tuple[ModelFile, ...]:
    return tuple(ModelFile(path, path, sums(content)[path]) for path in PATHS)


@pytest.fixture
def know(monkeypatch: pytest.MonkeyPatch) -> "Know":
    return Know(monkeypatch)


class Know:
    """Puts one model into the catalogue."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *sources: ModelSource) -> None:
        self._monkeypatch.setattr(catalogue, "find", lambda *_: entry(*sources))


def store(hub: FakeHub, tmp_path: Path, token: str = "") -> ModelStore:
    return ModelStore(tmp_path / "cache", endpoint=hub.endpoint, patience=QUICK, token=token)


def test_a_source_that_fails_is_followed_by_the_next_and_the_log_says_why(
    hub: FakeHub, know: Know, tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesh.hub.fetch.fetching.log", structlog.get_logger())  # one that no other test has set up
    know(on_hub("gone"), on_hub("first"))
    with capture_logs() as said:
        folder = store(hub, tmp_path).fetch(Family.FACE, "faces")
    assert content_of(folder) == {path: content[path] for path in PATHS}
    (warned,) = [line for line in said if line["log_level"] == "warning"]
    assert warned["event"] == "a source of the model failed, trying the next"
    assert "has no repository gone/faces" in warned["reason"]
    assert warned["next"] == "first/faces"


def test_each_source_goes_on_where_it_ended_itself(
    hub: FakeHub, know: Know, tmp_path: Path, content: dict[str, bytes]
) -> None:
    know(on_hub("first"))
    hub.behave(GRAPH).cuts = [2000, 0]
    with pytest.raises(UnavailableError, match="goes on from there"):
        store(hub, tmp_path).fetch(Family.FACE, "faces")
    hub.repositories["second/faces"] = content | {GRAPH: content[GRAPH] + b"other"}
    know(on_hub("second"), on_hub("first"))
    hub.behave(GRAPH).cuts = [1000, 0]
    folder = store(hub, tmp_path).fetch(Family.FACE, "faces")
    assert (folder / GRAPH).read_bytes() == content[GRAPH]
    asked = [(path.split("/")[0], start) for path, start in hub.requests if path.endswith(GRAPH)]
    assert asked[-2:] == [("second", "bytes=1000-"), ("first", "bytes=2000-")]


def test_when_none_has_it_every_reason_is_told(hub: FakeHub, know: Know, tmp_path: Path) -> None:
    know(on_hub("gone"), on_hub("away"))
    with pytest.raises(ModelNotFoundError, match=r"1\. .* gone/faces.*; 2\. .* away/faces"):
        store(hub, tmp_path).fetch(Family.FACE, "faces")
    hub.api_refusals = [503] * 2
    know(on_hub("first"), on_hub("gone"))
    with pytest.raises(UnavailableError, match=r"1\. .*HTTP 503.*; 2\. .* gone/faces"):
        store(hub, tmp_path).fetch(Family.FACE, "faces")


def test_a_hub_that_is_not_there_is_asked_for_one_source_only(
    hub: FakeHub, know: Know, tmp_path: Path, content: dict[str, bytes]
) -> None:
    with fake_hub({}) as closed:
        pass
    elsewhere = ModelSource(SourceKind.URL, f"{hub.endpoint}/first/faces/resolve/{COMMIT}", files=listed(content))
    know(on_hub("first"), on_hub("second"), elsewhere)
    folder = store(closed, tmp_path).fetch(Family.FACE, "faces")
    assert content_of(folder) == {path: content[path] for path in PATHS}
    know(on_hub("first"), on_hub("second"))
    with pytest.raises(UnavailableError) as caught:
        store(closed, tmp_path / "other").fetch(Family.FACE, "faces")
    assert "2." not in caught.value.message
    assert "for example HF_ENDPOINT=https://hf-mirror.com" in caught.value.message


def test_a_pinned_commit_with_pinned_files_is_fetched_without_asking_the_api(
    hub: FakeHub, know: Know, tmp_path: Path, content: dict[str, bytes]
) -> None:
    know(on_hub("first", revision=COMMIT, files=listed(content), pins=sums(content)))
    store(hub, tmp_path).fetch(Family.FACE, "faces")
    assert [path for path, _ in hub.requests] == [f"first/faces/resolve/{COMMIT}/{path}" for path in PATHS]


def test_content_that_is_not_the_pinned_one_is_refused_before_it_is_downloaded(
    hub: FakeHub, know: Know, tmp_path: Path, content: dict[str, bytes]
) -> None:
    know(on_hub("first", pins=sums(content) | {GRAPH: "0" * 64}))
    with pytest.raises(UnavailableError, match="the catalogue pins 000000000000"):
        store(hub, tmp_path).fetch(Family.FACE, "faces")
    assert hub.downloads(GRAPH) == []


def test_small_files_have_their_pinned_content_too(
    hub: FakeHub, know: Know, tmp_path: Path, content: dict[str, bytes]
) -> None:
    know(on_hub("first", pins=sums(content) | {"config.json": "0" * 64}))
    with pytest.raises(UnavailableError, match=r"checksum .* came, 000000000000… was announced"):
        store(hub, tmp_path).fetch(Family.FACE, "faces")


def test_another_commit_than_the_pinned_one_is_refused(hub: FakeHub, know: Know, tmp_path: Path) -> None:
    know(on_hub("first", revision=COMMIT))
    hub.frozen_commit = "f" * 40
    with pytest.raises(UnavailableError, match=f"another commit than {COMMIT}"):
        store(hub, tmp_path).fetch(Family.FACE, "faces")


def test_a_file_without_an_announced_checksum_is_refused(hub: FakeHub, know: Know, tmp_path: Path) -> None:
    described = hub.describe("first/faces")
    hub.frozen = described | {"siblings": [{"rfilename": path} for path in PATHS]}
    know(on_hub("first"))
    with pytest.raises(UnavailableError, match="no announced checksum"):
        store(hub, tmp_path).fetch(Family.FACE, "faces")
    assert hub.sent_bytes == 0
    downloader = Downloader(None, QUICK, threading.Event())  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="refused"):
        downloader.fetch(RemoteFile("https://hub/x", "x", 3), tmp_path, lambda _: None)


def test_the_token_is_shown_to_the_hub_and_to_nobody_else(
    hub: FakeHub, know: Know, tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("fetching", "download"):
        monkeypatch.setattr(f"mesh.hub.fetch.{module}.log", structlog.get_logger())
    with capture_logs() as said, fake_hub({"first/faces": content, "second/faces": content}) as storage:
        hub.redirect_to = storage.endpoint
        elsewhere = ModelSource(
            SourceKind.URL, f"{storage.endpoint}/second/faces/resolve/{COMMIT}", files=listed(content)
        )
        know(on_hub("gone"), on_hub("first"))
        store(hub, tmp_path, token="hf_secret").fetch(Family.FACE, "faces")
        know(on_hub("gone"), elsewhere)
        store(hub, tmp_path / "other", token="hf_secret").fetch(Family.FACE, "faces")
    assert set(hub.authorizations) == {"Bearer hf_secret"}
    assert len(storage.authorizations) == 5
    assert set(storage.authorizations) == {None}
    assert said
    assert "hf_secret" not in str(said)
    assert "hf_secret" not in repr(store(hub, tmp_path, token="hf_secret")._fetcher)


def test_without_a_token_nothing_is_shown(hub: FakeHub, know: Know, tmp_path: Path) -> None:
    know(on_hub("first"))
    store(hub, tmp_path).fetch(Family.FACE, "faces")
    assert set(hub.authorizations) == {None}


def test_the_environments_proxy_is_used(
    hub: FakeHub, know: Know, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    know(on_hub("first"))
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HTTP_PROXY", hub.endpoint)
    ModelStore(tmp_path, endpoint="http://hub.invalid", patience=QUICK).fetch(Family.FACE, "faces")
    assert hub.hosts == {"hub.invalid"}


@pytest.mark.parametrize("proxy", ["socks9://proxy:1", "http://[::1"])
def test_a_proxy_that_is_none_is_named(
    hub: FakeHub, know: Know, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    know(on_hub("first"))
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(UnavailableError, match="HTTPS_PROXY") as caught:
        store(hub, tmp_path).fetch(Family.FACE, "faces")
    assert "\n" not in caught.value.message


def test_pins_are_printed_from_what_the_hub_announces(
    hub: FakeHub, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    assert pin.main(["first/faces", "gone/faces"]) == 1
    printed = capsys.readouterr()
    found = tomllib.loads(printed.out)["first/faces"]
    assert found == {"revision": HUB_COMMIT, "sha256": {path: sums(content)[path] for path in PATHS}}
    assert "gone/faces" in printed.err


def test_a_revision_has_a_folder_of_its_own(
    hub: FakeHub, know: Know, tmp_path: Path, content: dict[str, bytes]
) -> None:
    hub.repositories["immich-app/faces"] = content
    know(on_hub("immich-app", pins=dict.fromkeys(PATHS, "0" * 64)))
    one = ModelStore(tmp_path, endpoint=hub.endpoint, patience=QUICK, revision="v2")
    folder = one.fetch(Family.FACE, "faces")
    assert folder == tmp_path / "facial-recognition/faces/v2"
    assert any(path == "api/models/immich-app/faces/revision/v2" for path, _ in hub.requests)
    assert one.find(Family.FACE, "faces") == folder
    assert ModelStore(tmp_path).find(Family.FACE, "faces") == folder
    assert [model.folder for model in one.cached(Family.FACE)] == [folder]


def test_a_model_that_has_no_such_revision_comes_as_it_is(
    hub: FakeHub, know: Know, tmp_path: Path, content: dict[str, bytes]
) -> None:
    know(on_hub("first", pins=sums(content)))
    one = ModelStore(tmp_path, endpoint=hub.endpoint, patience=QUICK, revision="v2")
    assert one.fetch(Family.FACE, "faces") == tmp_path / "facial-recognition/faces"
