"""`immich-mesh reprocess` and `search` against a front door: what is selected, resumed, retried and told."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from mesh.cli.app import app, run
from mesh.cli.clients import front_door_client
from mesh.cli.clients.front_door_client import FrontDoorClient, RefreshFailedError
from mesh.cli.commands.reprocess_run import (
    CLIP,
    OCR,
    Journal,
    PhotoOutcome,
    ReprocessReport,
    Selection,
    reprocess,
    select,
)
from mesh.cli.output.outcome import CommandError
from mesh.core.errors import InvalidInputError
from sql.refresh import MissingReason, OcrLine
from tests.doubles.front_door import OpenDoor, open_door
from tests.doubles.immich import DoubleKey, DoubleUser, ImmichDouble
from tests.waiting import PATIENCE_SECONDS

BOTH = frozenset({OCR, CLIP})
BOX = (0.1, 0.1, 0.6, 0.1, 0.6, 0.2, 0.1, 0.2)


@pytest.fixture
async def client(door: OpenDoor) -> AsyncIterator[FrontDoorClient]:
    async with FrontDoorClient(door.url, "alice-key") as opened:
        yield opened


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


async def test_selections(client: FrontDoorClient, door: OpenDoor, alice: DoubleUser) -> None:
    bob = door.immich.user("bob")
    alice.partners = {bob.id: True}
    first, second = door.immich.photo(alice, "发票"), door.immich.photo(alice, "other", visibility="archive")
    door.immich.photo(bob, "发票")
    assert list(await select(client, Selection(everything=True), BOTH)) == [str(first.id), str(second.id)]
    assert list(await select(client, Selection(query="ocr:发票"), BOTH)) == [str(first.id)]
    assert await select(client, Selection(("a", "b")), frozenset({OCR})) == dict.fromkeys(("a", "b"), frozenset({OCR}))
    assert door.refresh is not None
    door.refresh.lost = {"ocr": [first.id], "clip": [first.id, second.id]}
    lost = await select(client, Selection(missing=True), BOTH)
    assert lost == {str(first.id): BOTH, str(second.id): frozenset({CLIP})}
    assert await select(client, Selection(missing=True), frozenset({OCR})) == {str(first.id): frozenset({OCR})}


async def test_a_report_of_what_changed_and_what_failed(
    client: FrontDoorClient, door: OpenDoor, alice: DoubleUser, journal: Journal
) -> None:
    assert door.refresh is not None
    photos = [door.immich.photo(alice) for _ in range(3)]
    door.refresh.texts[photos[0].id] = (OcrLine("old", BOX, 1, 1),)
    door.refresh.texts[photos[1].id] = (OcrLine("发票号码 INVOICE", BOX, 1, 1),)
    photos[2].preview = None
    report = await reprocess(client, {str(photo.id): BOTH for photo in photos}, journal, concurrency=2)
    assert [(change.asset_id, change.before, change.after) for change in report.changed] == [
        (str(photos[0].id), ("old",), ("发票号码 INVOICE",))
    ]
    [failed] = report.failed
    assert failed.asset_id == str(photos[2].id)
    assert "no preview" in failed.error
    assert not journal.path.exists()
    assert set(door.refresh.embeddings) == {photos[0].id, photos[1].id}


async def test_an_interrupted_run_goes_on_where_it_stopped(
    client: FrontDoorClient, door: OpenDoor, alice: DoubleUser, journal: Journal
) -> None:
    assert door.mesh is not None
    photos = [door.immich.photo(alice) for _ in range(4)]
    work = {str(photo.id): frozenset({OCR}) for photo in photos}
    done_two = asyncio.Event()

    def advance(report: ReprocessReport) -> None:
        if len(report.outcomes) == 2:
            assert door.mesh is not None
            door.mesh.wait_for = asyncio.Event()  # the third photo hangs until the run is interrupted
            done_two.set()

    running = asyncio.create_task(reprocess(client, work, journal, concurrency=1, advance=advance))
    await asyncio.wait_for(done_two.wait(), PATIENCE_SECONDS)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"asset_id": "half a li')  # as a machine that lost its power leaves it
    door.mesh.wait_for = None
    door.mesh.asked.clear()
    report = await reprocess(client, work, journal, concurrency=1)
    assert (len(report.outcomes), report.resumed) == (4, 2)
    assert len(door.mesh.asked) == 2
    assert not journal.path.exists()


def test_what_failed_is_tried_again(journal: Journal) -> None:
    journal.write(PhotoOutcome("a", (), ("text",)))
    journal.write(PhotoOutcome("b", error="busy"))
    journal.close(finished=False)
    assert journal.done() == {"a": PhotoOutcome("a", (), ("text",))}


def test_every_command_has_its_own_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    selections = (Selection(everything=True), Selection(missing=True), Selection(album="A"), Selection(query="A"))
    paths = {Journal.of("http://a", selection, kinds).path for selection in selections for kinds in (BOTH, frozenset())}
    assert len(paths) == 8
    assert all(path.is_relative_to(tmp_path) for path in paths)


def _answers(*replies: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    waiting, seen = iter(replies), []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        reply = next(waiting)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return httpx.MockTransport(answer), seen


async def test_a_busy_mesh_is_waited_for() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    busy = httpx.Response(503, json={"message": "busy"}, headers={"Retry-After": "7"})
    transport, seen = _answers(busy, httpx.ConnectError("gone"), httpx.Response(200, json={"assetId": "a"}))
    async with FrontDoorClient("http://door", "key", transport=transport, sleep=sleep) as client:
        assert await client.refresh("a", BOTH) == {"assetId": "a"}
    assert waits == [7.0, 2.0]
    assert json.loads(seen[0].content) == {"assetId": "a", "clip": True, "ocr": True}
    assert seen[0].headers["x-api-key"] == "key"


async def test_patience_ends_and_refusals_are_final() -> None:
    async def sleep(seconds: float) -> None:
        return None

    transport, seen = _answers(*[httpx.Response(503, json={"message": "still busy"})] * 3)
    async with FrontDoorClient("http://door", "key", transport=transport, sleep=sleep) as client:
        with pytest.raises(RefreshFailedError, match="still busy"):
            await client.refresh("a", BOTH, attempts=3)
    assert len(seen) == 3
    transport, seen = _answers(httpx.Response(400, json={"message": "no preview"}), httpx.Response(401, text="who?"))
    async with FrontDoorClient("http://door", "key", transport=transport, sleep=sleep) as client:
        with pytest.raises(RefreshFailedError, match="no preview"):
            await client.refresh("a", BOTH)
        with pytest.raises(CommandError, match="who"):
            await client.refresh("a", BOTH)


async def test_immichs_own_address_is_told_from_a_missing_model() -> None:
    transport, _ = _answers(
        httpx.Response(404, json={"message": "Cannot POST /mesh/refresh", "error": "Not Found", "statusCode": 404}),
        httpx.Response(404, json={"message": "no model x", "error": {"code": "NOT_FOUND"}, "statusCode": 404}),
        httpx.Response(404, text="<html>"),
    )
    async with FrontDoorClient("http://door", "key", transport=transport) as client:
        with pytest.raises(CommandError, match="is no photo front door"):
            await client.refresh("a", BOTH)
        with pytest.raises(RefreshFailedError, match="no model x"):
            await client.refresh("a", BOTH)
        with pytest.raises(CommandError, match="is no photo front door"):
            await client.missing(ocr=True, clip=True)


async def test_an_album_by_name_or_id() -> None:
    album = "966fe942-5655-4616-a336-01907dcf1f0b"
    albums = [{"id": album, "albumName": "Receipts"}, *[{"id": "x", "albumName": "Twice"}] * 2]
    transport, seen = _answers(*[httpx.Response(200, json=albums)] * 3)
    async with FrontDoorClient("http://door", "key", transport=transport) as client:
        assert await client.album_id(album) == album
        assert not seen
        assert await client.album_id("Receipts") == album
        with pytest.raises(CommandError, match="2 albums are called 'Twice'"):
            await client.album_id("Twice")
        with pytest.raises(CommandError, match="no album is called 'None'"):
            await client.album_id("None")


async def cli(*arguments: str) -> tuple[int, str, str]:
    """The command as a user runs it, beside the running doubles."""
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments])
    return result.exit_code, result.stdout, result.stderr


def last_json(out: str) -> Any:
    """What `--json` printed; the doubles' log is before it."""
    return json.loads(out.splitlines()[-1])


async def test_the_commands(door: OpenDoor, alice: DoubleUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("IMMICH_API_KEY", "alice-key")
    monkeypatch.setenv("IMMICH_MESH_PHOTOS_URL", door.url)
    photo = door.immich.photo(alice, "发票", name="invoice.jpg")
    code, out, _ = await cli("search", "ocr:发票")
    assert code == 0
    assert "invoice.jpg" in out
    assert "ranked" in out
    assert "0.500" in out
    code, out, _ = await cli("search", "ocr:发票", "--json")
    assert json.loads(out)["results"][0]["lines"][0]["text"] == "发票"
    report = tmp_path / "report.jsonl"
    code, out, _ = await cli("reprocess", str(photo.id), "--ocr", "--report", str(report))
    assert code == 0
    assert "1 photo reprocessed, 1 with another text" in out
    assert json.loads(report.read_text(encoding="utf-8"))["after"] == ["发票号码 INVOICE"]
    code, out, _ = await cli("reprocess", "--all", "--dry-run")
    assert out == "1 photo would be reprocessed (clip, ocr)\n"
    code, out, _ = await cli("reprocess", "--all", "--dry-run", "--json")
    assert last_json(out) == {"photos": 1, "kinds": ["clip", "ocr"], "faces": False}
    code, out, _ = await cli("reprocess", str(photo.id), "--clip", "--json")
    told = last_json(out)
    assert (code, told["photos"], told["changed"], told["failed"]) == (0, 1, 0, 0)
    assert told["outcomes"][0]["clip"] is True
    assert door.mesh is not None
    door.mesh.error = InvalidInputError("not an image")
    code, out, _ = await cli("reprocess", "--query", "ocr:发票")
    assert code == 1
    assert "not an image" in out
    code, out, _ = await cli("reprocess", "--query", "ocr:发票", "--json")
    assert (code, last_json(out)["failed"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["reprocess"], 2, "say which photos"),
        (["reprocess", "--all", "--missing"], 2, "say which photos"),
        (["reprocess", "nonsense"], 2, "is no id"),
        (["search", "x", "--url", "nowhere"], 2, "is no address"),
        (["search", "x", "--url", "http://127.0.0.1:1"], 3, "cannot be reached"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", "k")
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


async def test_a_wrong_key_ends_at_once(door: OpenDoor) -> None:
    async with FrontDoorClient(door.url, "wrong") as client:
        with pytest.raises(CommandError, match="Invalid API key"):
            await select(client, Selection(everything=True), BOTH)


async def test_without_a_database_the_search_says_so(immich: ImmichDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = immich.user("alice", "alice-key")
    immich.photo(alice, "发票", name="invoice.jpg")
    async with open_door(immich, database=False) as door:
        code, out, _ = await cli("search", "ocr:发票", "--url", door.url, "--api-key", "alice-key")
    assert code == 0
    assert "no-database" in out


async def test_missing_covers_faces_by_immichs_own_job(
    door: OpenDoor, alice: DoubleUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("IMMICH_API_KEY", "alice-key")
    monkeypatch.setenv("IMMICH_MESH_PHOTOS_URL", door.url + "/api")
    assert door.refresh is not None
    photo = door.immich.photo(alice)
    door.refresh.lost = {"ocr": [photo.id], "clip": []}
    faces = door.immich.queues["faceDetection"]
    code, out, _ = await cli("reprocess", "--missing", "--dry-run")
    assert (code, faces.started) == (0, 0)
    assert out == "1 photo would be reprocessed (clip, ocr)\nfaces: Immich's own job would look for missing ones\n"
    code, out, _ = await cli("reprocess", "--missing")
    assert (code, faces.started) == (0, 0)
    assert "faces: only an administrator's key may start Immich's own job" in out
    alice.admin = True
    code, out, _ = await cli("reprocess", "--missing", "--faces")
    assert (code, faces.started) == (0, 1)
    assert out == "faces: Immich looks for missing ones by its own job\n"
    faces.jobs = 7
    door.refresh.lost = {"ocr": [photo.id], "clip": []}
    code, out, _ = await cli("reprocess", "--missing", "--ocr", "--faces")
    assert "faces: Immich is at it already" in out
    assert "1 photo reprocessed" in out
    code, _, _ = await cli("reprocess", "--all", "--faces")
    assert code != 0
    assert faces.started == 1


async def test_missing_leaves_out_what_has_no_preview_and_says_so(
    door: OpenDoor, alice: DoubleUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", "alice-key")
    monkeypatch.setenv("IMMICH_MESH_PHOTOS_URL", door.url + "/api")
    assert door.refresh is not None
    good, bad = door.immich.photo(alice), door.immich.photo(alice, preview=None)
    door.refresh.lost = {"ocr": [good.id, bad.id], "clip": [bad.id]}
    door.refresh.reasons[bad.id] = MissingReason.NO_PREVIEW
    code, out, _ = await cli("reprocess", "--missing", "--ocr", "--clip", "--dry-run")
    assert code == 0
    assert out.splitlines() == [
        "1 photo without a preview left out: Immich cannot read the file, or has yet to make one",
        "1 photo would be reprocessed (clip, ocr)",
    ]


async def test_a_report_names_files(
    door: OpenDoor, alice: DoubleUser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("IMMICH_API_KEY", "alice-key")
    monkeypatch.setenv("IMMICH_MESH_PHOTOS_URL", door.url)
    good = door.immich.photo(alice, name="invoice.jpg")
    bad = door.immich.photo(alice, name="blind.jpg", preview=None)
    file = tmp_path / "report.jsonl"
    code, out, _ = await cli("reprocess", str(good.id), str(bad.id), "--ocr", "--report", str(file))
    assert code == 1
    assert "invoice.jpg" in out
    assert "blind.jpg" in out
    written = {record["name"]: record["error"] for record in map(json.loads, file.read_text("utf-8").splitlines())}
    assert written["invoice.jpg"] == ""
    assert "no preview" in written["blind.jpg"]


async def test_an_interrupted_run_has_told_why(
    client: FrontDoorClient, door: OpenDoor, alice: DoubleUser, journal: Journal
) -> None:
    assert door.mesh is not None
    blind, waiting = door.immich.photo(alice, name="blind.jpg", preview=None), door.immich.photo(alice)
    begun = asyncio.Event()

    def advance(report: ReprocessReport) -> None:
        if report.outcomes:
            assert door.mesh is not None
            door.mesh.wait_for = asyncio.Event()
            begun.set()

    report = ReprocessReport()
    work = {str(photo.id): frozenset({OCR}) for photo in (blind, waiting)}
    running = asyncio.create_task(reprocess(client, work, journal, concurrency=1, advance=advance, report=report))
    await asyncio.wait_for(begun.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [(failed.name, "no preview" in failed.error) for failed in report.failed] == [("blind.jpg", True)]


@pytest.mark.parametrize(
    "arguments", [["search", "ocr:发票"], ["search", "a dog"], ["reprocess", "--missing", "--ocr"]]
)
async def test_an_address_that_is_no_doors_is_one_line(
    immich: ImmichDouble, alice: DoubleUser, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """Immich's own server answers its web page to whatever it does not know."""
    immich.odd["/mesh/refresh/missing"] = immich.odd["/mesh"] = (200, b"<!doctype html><html>")
    if "a dog" in arguments:
        immich.odd["/api/search/smart"] = (200, b"<!doctype html><html>")
    monkeypatch.setenv("IMMICH_API_KEY", "alice-key")

    def ran() -> tuple[int, str]:
        result = CliRunner().invoke(app, [*arguments, "--url", immich.url])
        return result.exit_code, str(result.exception)

    _, error = await asyncio.to_thread(ran)
    assert error.startswith(f"{immich.url} is no photo front door")
    assert "2284" in error


async def test_a_key_without_user_read_is_one_line(
    door: OpenDoor, alice: DoubleUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.immich.keys["few"] = DoubleKey(alice, frozenset({"asset.read", "asset.view", "job.create"}))
    photo = door.immich.photo(alice)
    async with FrontDoorClient(door.url, "few") as client:
        for call in (client.user_id(), client.missing(ocr=True, clip=False), client.refresh(str(photo.id), BOTH)):
            with pytest.raises(CommandError, match=r"the API key lacks the permission user\.read"):
                await call


async def test_the_door_of_this_machine_is_found(
    door: OpenDoor, immich: ImmichDouble, alice: DoubleUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_door_client, "CANDIDATES", ("http://127.0.0.1:1", immich.url, door.url))
    assert await front_door_client.find_front_door("alice-key") == door.url
    monkeypatch.setattr(front_door_client, "CANDIDATES", ("http://127.0.0.1:1", immich.url))
    with pytest.raises(CommandError, match="say where it is with --url"):
        await front_door_client.find_front_door("alice-key")
