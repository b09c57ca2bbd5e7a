"""A model that cannot be had: one line that says why and what helps, and attempts that grow rare."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mesh.core.errors import InvalidInputError, MeshError, ModelNotFoundError, ModelUnavailableError, UnavailableError
from mesh.hub.entry import Family
from mesh.hub.fetch.remote_file import Patience
from mesh.hub.store import ModelStore
from tests.builders import write_faces
from tests.builders.hub import FakeHub, fake_hub
from tests.clock import FakeClock

NAME = "antelopev2"
QUICK = Patience(connect_seconds=2, read_seconds=2, attempts=2, pause_seconds=0.001)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    folder = write_faces(tmp_path / "origin")
    content = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.onnx")}
    with fake_hub({f"immich-app/{NAME}": content}) as running:
        yield running


@contextmanager
def resetting_hub() -> Iterator[str]:
    """A hub as a blocked one looks: every connection is reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

        threading.Thread(target=reset, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def failure(endpoint: str, tmp_path: Path) -> MeshError:
    with pytest.raises(MeshError) as caught:
        ModelStore(tmp_path / "cache", endpoint=endpoint, patience=QUICK).fetch(Family.FACE, NAME)
    assert "\n" not in caught.value.message
    return caught.value


def test_a_blocked_hub(tmp_path: Path) -> None:
    with resetting_hub() as endpoint:
        error = failure(endpoint, tmp_path)
    assert isinstance(error, ModelUnavailableError)
    assert f"the hub at {endpoint} does not answer" in error.message
    assert "for example HF_ENDPOINT=https://hf-mirror.com" in error.message
    assert error.retry_after_seconds == 10


def test_no_dns(tmp_path: Path) -> None:
    error = failure("http://hub.invalid", tmp_path)
    assert "its name cannot be resolved" in error.message


def test_a_full_disk(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mesh.hub.fetch.download.os.fsync", full)
    error = failure(hub.endpoint, tmp_path)
    assert isinstance(error, ModelUnavailableError)
    assert "the disk of" in error.message
    assert "is full" in error.message


def test_a_cache_that_cannot_be_written(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)  # root, who may run the tests, may write anywhere
    error = failure(hub.endpoint, tmp_path)
    assert isinstance(error, ModelUnavailableError)
    assert "it is not writable for user" in error.message


def test_attempts_grow_rare_up_to_a_cap_and_between_them_the_answer_comes_at_once(hub: FakeHub, tmp_path: Path) -> None:
    clock = FakeClock(1000.0)
    one = ModelStore(tmp_path / "cache", endpoint=hub.endpoint, patience=QUICK, clock=clock)
    hub.api_refusals = [503] * 2 * 8
    waits = []
    for _ in range(8):
        with pytest.raises(ModelUnavailableError) as caught:
            one.fetch(Family.FACE, NAME)
        waits.append(caught.value.retry_after_seconds)
        asked = len(hub.requests)
        clock.now += waits[-1] - 1
        with pytest.raises(ModelUnavailableError) as early:
            one.fetch(Family.FACE, NAME)
        assert early.value.retry_after_seconds == pytest.approx(1)
        assert early.value.message == caught.value.message
        assert len(hub.requests) == asked
        clock.now += 1
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]
    folder = one.fetch(Family.FACE, NAME)
    assert one.fetch(Family.FACE, NAME) == folder


def test_what_a_hub_has_not_is_asked_for_no_sooner(hub: FakeHub, tmp_path: Path) -> None:
    clock = FakeClock(1000.0)
    one = ModelStore(tmp_path / "cache", endpoint=hub.endpoint, patience=QUICK, clock=clock)
    hub.repositories.clear()
    for _ in range(3):
        with pytest.raises(ModelNotFoundError, match="has no repository"):
            one.fetch(Family.FACE, NAME)
    assert len(hub.requests) == 1


def test_files_that_are_put_there_by_hand_are_found_before_the_next_attempt(tmp_path: Path) -> None:
    with fake_hub({}) as empty:
        one = ModelStore(tmp_path, endpoint=empty.endpoint, patience=QUICK, clock=FakeClock(1000.0))
        with pytest.raises(ModelNotFoundError):
            one.fetch(Family.FACE, NAME)
    folder = write_faces(tmp_path, NAME)
    assert one.fetch(Family.FACE, NAME) == folder


def test_a_download_that_was_stopped_counts_as_no_failure(hub: FakeHub, tmp_path: Path) -> None:
    one = ModelStore(tmp_path / "cache", endpoint=hub.endpoint, patience=QUICK)
    one.close()
    with pytest.raises(UnavailableError, match="stopped") as caught:
        one.fetch(Family.FACE, NAME)
    assert not isinstance(caught.value, ModelUnavailableError)


def test_a_mirror_takes_over_at_once_and_hears_no_token(hub: FakeHub, tmp_path: Path) -> None:
    with resetting_hub() as endpoint:
        one = ModelStore(
            tmp_path / "cache", endpoint=endpoint, token="hf_secret", patience=QUICK, clock=FakeClock(1000.0)
        )
        with pytest.raises(ModelUnavailableError, match="does not answer"):
            one.fetch(Family.FACE, NAME)
        one.use_hub(f"{hub.endpoint}/")
        one.fetch(Family.FACE, NAME)
    assert hub.authorizations
    assert set(hub.authorizations) == {None}


@pytest.mark.parametrize(
    "address", ["", "hf-mirror.com", "ftp://hub", "https://me:secret@hub", "https://hub?key=1", "file:///x"]
)
def test_what_is_no_address_of_a_hub_is_refused(tmp_path: Path, address: str) -> None:
    one = ModelStore(tmp_path)
    with pytest.raises(InvalidInputError, match="address of a hub"):
        one.use_hub(address)
