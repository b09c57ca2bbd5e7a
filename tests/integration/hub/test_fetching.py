"""Models come over a network that cuts, damages, delays and refuses."""

import hashlib
import multiprocessing
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mesh.core.errors import InvalidInputError, ModelNotFoundError, UnavailableError
from mesh.hub import catalogue, layout
from mesh.hub.catalogue import Family, ModelEntry, ModelFile, ModelSource, SourceKind
from mesh.hub.fetch.fetching import staging_name
from mesh.hub.fetch.progress import DownloadProgress, FetchStage
from mesh.hub.fetch.remote_file import Patience
from mesh.hub.store import ModelStore
from tests.builders import write_faces
from tests.builders.hub import FakeHub, fake_hub
from tests.waiting import PATIENCE_SECONDS

QUICK = Patience(connect_seconds=2, read_seconds=2, attempts=3, pause_seconds=0.001)
GRAPH = "recognition/model.onnx"
NAME = "antelopev2"
"""One whose files the catalogue does not pin: the hub's own word counts, whatever it holds here."""
REPOSITORY = f"immich-app/{NAME}"


@pytest.fixture(autouse=True)
def every_piece_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.hub.fetch.progress._TELL_EVERY_SECONDS", 0.0)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    folder = write_faces(tmp_path / "origin")
    content = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.onnx")}
    content[GRAPH] += np.random.default_rng(0).bytes(200_000)  # so large that it comes in many pieces
    extras = {"README.md": b"# paper", "detection/model.rknn": b"x", ".gitattributes": b"", "config.json": b"{}"}
    with fake_hub({REPOSITORY: content | extras}) as running:
        yield running


def store(hub: FakeHub, tmp_path: Path, *, offline: bool = False) -> ModelStore:
    return ModelStore(tmp_path / "cache", endpoint=hub.endpoint, patience=QUICK, offline=offline)


def test_a_model_arrives_whole_and_is_found_afterwards(hub: FakeHub, tmp_path: Path) -> None:
    seen: list[DownloadProgress] = []
    one = store(hub, tmp_path)
    assert one.find(Family.FACE, NAME) is None
    folder = one.fetch(Family.FACE, NAME, seen.append)
    assert folder == tmp_path / "cache/facial-recognition/antelopev2"
    assert (folder / GRAPH).read_bytes() == hub.repositories[REPOSITORY][GRAPH]
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"detection/model.onnx", GRAPH, "config.json"}
    assert seen[-1].fraction == 1.0
    assert [one.done_bytes for one in seen] == sorted(one.done_bytes for one in seen)
    assert {one.model for one in seen} == {NAME}
    asked = len(hub.requests)
    assert one.fetch(Family.FACE, NAME) == folder
    assert len(hub.requests) == asked
    assert [model.name for model in one.cached(Family.FACE)] == [NAME]
    assert not list((tmp_path / "cache/.downloads").rglob("*.onnx*"))


def test_a_cut_connection_goes_on_where_it_ended(hub: FakeHub, tmp_path: Path) -> None:
    hub.behave(GRAPH).cuts = [50_000, 70_000]
    folder = store(hub, tmp_path).fetch(Family.FACE, NAME)
    assert (folder / GRAPH).read_bytes() == hub.repositories[REPOSITORY][GRAPH]
    assert hub.downloads(GRAPH) == [None, "bytes=50000-", "bytes=120000-"]
    assert hub.sent_bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_more_cuts_than_attempts_are_fine_while_bytes_come(hub: FakeHub, tmp_path: Path) -> None:
    hub.behave(GRAPH).cuts = [10_000] * 12
    folder = store(hub, tmp_path).fetch(Family.FACE, NAME)
    assert (folder / GRAPH).read_bytes() == hub.repositories[REPOSITORY][GRAPH]


def test_giving_up_keeps_what_came_for_the_next_process(hub: FakeHub, tmp_path: Path) -> None:
    hub.behave(GRAPH).cuts = [50_000, 0, 0, 0, 0]
    with pytest.raises(UnavailableError, match="goes on from there"):
        store(hub, tmp_path).fetch(Family.FACE, NAME)
    hub.behave(GRAPH).cuts = []
    seen: list[DownloadProgress] = []
    store(hub, tmp_path).fetch(Family.FACE, NAME, seen.append)
    assert hub.downloads(GRAPH)[-1] == "bytes=50000-"
    assert min(one.done_bytes for one in seen if one.file == GRAPH) > 50_000


def test_a_server_without_ranges_starts_over(hub: FakeHub, tmp_path: Path) -> None:
    hub.behave(GRAPH).cuts = [50_000]
    hub.behave(GRAPH).ignores_range = True
    folder = store(hub, tmp_path).fetch(Family.FACE, NAME)
    assert (folder / GRAPH).read_bytes() == hub.repositories[REPOSITORY][GRAPH]


def test_one_damaged_reply_is_fetched_again(hub: FakeHub, tmp_path: Path) -> None:
    hub.behave(GRAPH).damaged = 1
    folder = store(hub, tmp_path).fetch(Family.FACE, NAME)
    assert (folder / GRAPH).read_bytes() == hub.repositories[REPOSITORY][GRAPH]


@pytest.mark.parametrize("path", [GRAPH, "config.json"])
def test_bytes_that_stay_wrong_never_become_a_model(hub: FakeHub, tmp_path: Path, path: str) -> None:
    hub.behave(path).damaged = 10
    with pytest.raises(UnavailableError, match=r"checksum .* came, .* was announced"):
        store(hub, tmp_path).fetch(Family.FACE, NAME)
    assert store(hub, tmp_path).find(Family.FACE, NAME) is None
    assert not (tmp_path / "cache/facial-recognition/antelopev2").exists()


def test_a_page_instead_of_a_file_is_not_taken(hub: FakeHub, tmp_path: Path) -> None:
    hub.frozen = hub.describe(REPOSITORY)
    hub.repositories[REPOSITORY][GRAPH] = b"<html>Please log in to this network</html>"
    with pytest.raises(UnavailableError, match="announced"):
        store(hub, tmp_path).fetch(Family.FACE, NAME)


def test_a_busy_hub_is_asked_again(hub: FakeHub, tmp_path: Path) -> None:
    hub.api_refusals = [503]
    hub.behave(GRAPH).refusals = [429, 500]
    assert store(hub, tmp_path).fetch(Family.FACE, NAME).is_dir()


def test_a_silent_server_is_given_up(hub: FakeHub, tmp_path: Path) -> None:
    hub.behave(GRAPH).gate = threading.Event()
    impatient = Patience(connect_seconds=1, read_seconds=0.1, attempts=2, pause_seconds=0.001)
    one = ModelStore(tmp_path / "cache", endpoint=hub.endpoint, patience=impatient)
    hub.behave(GRAPH).cuts = [2000, 0, 0]
    with pytest.raises(UnavailableError, match="cannot download"):
        one.fetch(Family.FACE, NAME)


def test_a_slow_download_shows_how_far_it_is(hub: FakeHub, tmp_path: Path) -> None:
    gate = threading.Event()
    hub.behave(GRAPH).gate = gate
    seen: list[DownloadProgress] = []

    def note(progress: DownloadProgress) -> None:
        seen.append(progress)
        if progress.file == GRAPH and progress.done_bytes > 100_000:
            gate.set()

    store(hub, tmp_path).fetch(Family.FACE, NAME, note)
    assert any(0.2 < one.fraction < 0.8 for one in seen)


def test_closing_the_store_ends_a_download_that_goes_on_later(hub: FakeHub, tmp_path: Path) -> None:
    hub.behave(GRAPH).gate = threading.Event()
    one = store(hub, tmp_path)
    with pytest.raises(UnavailableError, match="stopped"):
        one.fetch(Family.FACE, NAME, lambda progress: one.close() if progress.done_bytes > 100_000 else None)
    hub.behave(GRAPH).gate = None
    assert store(hub, tmp_path).fetch(Family.FACE, NAME).is_dir()


def test_no_hub_no_model(tmp_path: Path) -> None:
    with fake_hub({}) as gone:
        pass
    with pytest.raises(UnavailableError, match=r"the hub at http://127\.0\.0\.1:\d+ does not answer"):
        store(gone, tmp_path).fetch(Family.FACE, NAME)


@pytest.mark.parametrize("endpoint", ["huggingface.co", "ftp://hub", ""])
def test_an_endpoint_that_is_none_is_named(tmp_path: Path, endpoint: str) -> None:
    one = ModelStore(tmp_path / "cache", endpoint=endpoint, patience=QUICK)
    with pytest.raises(UnavailableError, match="HF_ENDPOINT"):
        one.fetch(Family.FACE, NAME)


def test_a_repository_that_is_gone_is_not_found(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories.clear()
    with pytest.raises(ModelNotFoundError, match="has no repository immich-app/antelopev2"):
        store(hub, tmp_path).fetch(Family.FACE, NAME)


def test_offline_names_model_folder_and_remedy(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        store(hub, tmp_path, offline=True).fetch(Family.FACE, NAME)
    message = caught.value.message
    assert NAME in message
    assert str(tmp_path / "cache/facial-recognition/antelopev2") in message
    assert "immich-mesh models pull antelopev2" in message
    assert hub.requests == []


def test_offline_serves_what_is_cached(hub: FakeHub, tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "cache", NAME)
    assert store(hub, tmp_path, offline=True).fetch(Family.FACE, NAME) == folder


def test_an_unknown_name_gets_its_likely_meaning(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean buffalo_l"):
        store(hub, tmp_path).fetch(Family.FACE, "bufalo_l")
    with pytest.raises(InvalidInputError):
        store(hub, tmp_path).fetch(Family.FACE, "../../etc/passwd")
    assert hub.requests == []


def test_an_exported_model_says_how_it_is_made(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="models export cn-clip/ViT-H-14"):
        store(hub, tmp_path).fetch(Family.CLIP, "cn-clip/ViT-H-14")


def test_a_half_cached_model_is_completed_and_never_deleted(hub: FakeHub, tmp_path: Path) -> None:
    mine = tmp_path / "cache/facial-recognition/antelopev2"
    (mine / "detection").mkdir(parents=True)
    (mine / "detection/model.onnx").write_bytes(b"mine")
    (mine / "note.txt").write_text("keep")
    folder = store(hub, tmp_path).fetch(Family.FACE, NAME)
    assert (folder / "detection/model.onnx").read_bytes() == b"mine"
    assert (folder / "note.txt").read_text() == "keep"
    assert (folder / GRAPH).is_file()
    assert hub.downloads("detection/model.onnx") == []


def test_a_model_of_ones_own_is_found_without_the_catalogue(tmp_path: Path) -> None:
    folder = write_faces(tmp_path, "my-own")
    one = ModelStore(tmp_path)
    assert one.fetch(Family.FACE, "my-own") == folder
    (cached,) = one.cached(Family.FACE)
    assert (cached.name, cached.entry) == ("my-own", None)
    assert cached.size_bytes == layout.size_bytes(folder)


def test_bundled_ocr_models_need_no_download(tmp_path: Path) -> None:
    one = ModelStore(tmp_path, offline=True)
    for name in ("PP-OCRv6_small", "PP-OCRv4_mobile"):
        folder = one.fetch(Family.OCR, name)
        entry = catalogue.find(Family.OCR, name)
        assert entry is not None
        for part, file in zip(Family.OCR.parts, entry.files, strict=True):
            path = layout.part_file(Family.OCR, folder, part)
            assert path is not None
            assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    assert [model.name for model in one.cached(Family.OCR)] == ["PP-OCRv4_mobile", "PP-OCRv6_small"]


def test_files_outside_the_hub_are_verified_by_the_catalogue(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = hub.repositories[REPOSITORY]
    paths = ("detection/model.onnx", GRAPH)
    files = tuple(ModelFile(path, path, hashlib.sha256(content[path]).hexdigest()) for path in paths)
    source = ModelSource(
        SourceKind.URL, f"{hub.endpoint}/{REPOSITORY}/resolve/0123456789abcdef0123456789abcdef01234567"
    )
    entry = ModelEntry(Family.OCR, "elsewhere", (source,), None, 1, "MIT")
    right = replace(entry, sources=(replace(source, files=files),))
    monkeypatch.setattr(catalogue, "find", lambda *_: right)
    hub.behave(GRAPH).cuts = [30_000]
    assert (store(hub, tmp_path).fetch(Family.OCR, "elsewhere") / GRAPH).read_bytes() == content[GRAPH]
    whole = tmp_path / "third/.downloads/ocr/elsewhere" / staging_name(right.source) / f"files/{GRAPH}.part"
    whole.parent.mkdir(parents=True)
    whole.write_bytes(content[GRAPH])  # as a process leaves it that dies just before the end
    asked = len(hub.downloads(GRAPH))
    ModelStore(tmp_path / "third", patience=QUICK).fetch(Family.OCR, "elsewhere")
    assert len(hub.downloads(GRAPH)) == asked
    hub.behave(GRAPH).damaged = 2
    with pytest.raises(UnavailableError, match="checksum"):
        ModelStore(tmp_path / "other", patience=QUICK).fetch(Family.OCR, "elsewhere")


def test_two_processes_download_once(hub: FakeHub, tmp_path: Path) -> None:
    gate = threading.Event()
    hub.behave(GRAPH).gate = gate
    spawn = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[str] = spawn.Queue()
    seen: list[FetchStage] = []

    def note(progress: DownloadProgress) -> None:
        seen.append(progress.stage)
        if progress.stage is FetchStage.WAITING:
            gate.set()

    other = spawn.Process(target=_fetch, args=(hub.endpoint, tmp_path / "cache", answers))
    other.start()
    assert hub.reached.wait(PATIENCE_SECONDS)
    folder = store(hub, tmp_path).fetch(Family.FACE, NAME, note)
    assert answers.get(timeout=PATIENCE_SECONDS) == str(folder)
    other.join(PATIENCE_SECONDS)
    assert FetchStage.WAITING in seen
    assert hub.downloads(GRAPH) == [None]


def _fetch(endpoint: str, cache: Path, answers: "multiprocessing.Queue[str]") -> None:
    answers.put(str(ModelStore(cache, endpoint=endpoint, patience=QUICK).fetch(Family.FACE, NAME)))


def test_a_cache_that_cannot_be_written_is_named(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(UnavailableError, match="cache"):
        store(hub, tmp_path).fetch(Family.FACE, NAME)


def test_the_official_checkpoint_is_downloaded_for_the_exporter(tmp_path: Path) -> None:
    entry = catalogue.find(Family.CLIP, "cn-clip/ViT-H-14")
    assert entry is not None
    assert entry.checkpoint is not None
    content = {"clip_cn_vit-h-14.pt": b"weights" * 1000, "pytorch_model.bin": b"not wanted"}
    with fake_hub({entry.checkpoint.location: content}) as hub:
        hub.behave("clip_cn_vit-h-14.pt").cuts = [500]
        path = store(hub, tmp_path).fetch_checkpoint(entry)
        assert path == tmp_path / "cache/checkpoints/clip_cn_vit-h-14.pt"
        assert path.read_bytes() == content["clip_cn_vit-h-14.pt"]
        asked = len(hub.requests)
        assert store(hub, tmp_path, offline=True).fetch_checkpoint(entry) == path
        assert len(hub.requests) == asked
    with pytest.raises(ModelNotFoundError, match="offline"):
        store(hub, tmp_path / "other", offline=True).fetch_checkpoint(entry)


def test_a_full_disk_is_said_before_the_download(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mesh.hub.fetch.fetching.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000)
    )
    with pytest.raises(UnavailableError, match=r"antelopev2 needs 0 MB and the disk of .* has 0 MB left"):
        store(hub, tmp_path).fetch(Family.FACE, NAME)
    assert hub.downloads(GRAPH) == []
