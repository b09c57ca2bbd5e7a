"""`ps`, `load`, `unload`, and why a request waits, against an admin API of known answers."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mesh.cli import app as cli
from mesh.cli.clients.admin_client import AdminClient, EndpointModel, ModelList
from mesh.cli.clients.waiting import Waiting, held
from mesh.cli.commands import running
from mesh.cli.doctor.elsewhere import check_elsewhere
from mesh.cli.doctor.finding import Verdict
from mesh.cli.output.outcome import CommandError, ExitCode
from mesh.cli.output.running_rows import clusters_table, rates

URL = "http://127.0.0.1:9901"
PART = {
    "cluster": "clip",
    "endpoint": "127.0.0.1:50052",
    "name": "ViT-B-16__cn-clip",
    "part": "visual",
    "state": "loaded",
    "size_bytes": 345_000_000,
    "memory_bytes": 350_000_000,
    "provider": "CPUExecutionProvider",
    "last_used_at": None,
    "in_use": 0,
    "download_progress": 0.0,
    "error": "",
    "dimension": 512,
    "of a newer router": True,
}


class FakeAdmin:
    """The admin API of a router with some models; notes its orders."""

    def __init__(self, *parts: dict[str, Any], errors: dict[str, str] | None = None) -> None:
        self.parts = parts
        self.errors = errors or {}
        self.orders: list[tuple[str, dict[str, Any]]] = []
        self.refusal: httpx.Response | None = None
        self.clusters: list[dict[str, Any]] = []
        self.checks: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.orders.append((request.url.path, json.loads(request.content)))
            return self.refusal or httpx.Response(200, json={"models": list(self.parts)})
        if request.url.path == "/clusters":
            return httpx.Response(200, json={"clusters": list(self.clusters)})
        if request.url.path == "/immich":
            return httpx.Response(200, json={"checks": list(self.checks)})
        clusters: dict[str, Any] = {name: {"models": [], "error": error} for name, error in self.errors.items()}
        for part in self.parts:
            clusters.setdefault(part["cluster"], {"models": [], "error": None})["models"].append(part)
        return httpx.Response(200, json={"clusters": clusters})

    def client(self, url: str = URL) -> AdminClient:
        return AdminClient(url, transport=httpx.MockTransport(self))


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeAdmin], FakeAdmin]:
    def use(api: FakeAdmin) -> FakeAdmin:
        monkeypatch.setattr(running, "admin", lambda url: api.client())
        return api

    return use


Use = Callable[[FakeAdmin], FakeAdmin]


def test_ps_shows_what_is_in_memory_and_on_what_it_runs(at: Use, capsys: pytest.CaptureFixture[str]) -> None:
    at(FakeAdmin(PART, PART | {"name": "ViT-B-32__openai", "state": "cached", "memory_bytes": 0}))
    assert cli.run(["ps"]) == 0
    _, row = capsys.readouterr().out.splitlines()
    assert row.split() == ["ViT-B-16__cn-clip", "visual", "clip", "loaded", "350", "MB", "CPU"]
    assert cli.run(["ps", "--all"]) == 0
    assert "ViT-B-32__openai" in capsys.readouterr().out


def test_ps_tells_services_apart_and_who_does_not_answer(at: Use, capsys: pytest.CaptureFixture[str]) -> None:
    at(FakeAdmin(PART, PART | {"endpoint": "10.0.0.2:50052"}, errors={"face": "cannot be connected to"}))
    assert cli.run(["ps"]) == 0
    shown = capsys.readouterr()
    assert "10.0.0.2:50052" in shown.out
    assert shown.err == "the face service does not answer (cannot be connected to)\n"
    assert cli.run(["ps", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [part["memory_bytes"] for part in told["models"]] == [350_000_000, 350_000_000]
    assert told["errors"] == {"face": "cannot be connected to"}


def test_top_says_in_the_words_of_ps_what_failed(at: Use, capsys: pytest.CaptureFixture[str]) -> None:
    gone = {"state": "failed", "memory_bytes": 0, "error": "the hub [Errno 104] does not answer"}
    api = at(FakeAdmin(PART | gone, PART | gone | {"part": "textual"}, PART | {"cluster": "face", "name": "buffalo_l"}))
    endpoint = {"address": PART["endpoint"], "state": "healthy", "detail": "serving"}
    endpoint |= {"active": 0, "failures": 0, "requests": 0}
    api.clusters = [{"name": name, "held": {"image": 0}, "endpoints": [endpoint]} for name in ("clip", "face")]
    assert cli.run(["top"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    clip, shown = lines[1], " ".join(lines)
    assert clip.startswith("clip 127.0.0.1:50052 failed 0 0 0 ViT")
    assert "[Errno 104]" in shown
    assert "face 127.0.0.1:50052 healthy 0 0 0 serving" in shown
    assert "ViT-B-16__cn-clip visual clip failed" in shown
    assert cli.run(["ps"]) == 0
    assert "ViT-B-16__cn-clip: the hub [Errno 104] does not answer" in capsys.readouterr().err


def test_top_leaves_a_service_healthy_that_has_another_model() -> None:
    failed = EndpointModel.of(PART | {"name": "ViT-B-32__openai", "state": "failed", "error": "no room"})
    endpoint = {"address": PART["endpoint"], "state": "healthy", "detail": "serving", "active": 0, "failures": 0}
    clusters = [{"name": "clip", "held": {}, "endpoints": [endpoint]}]
    table = clusters_table(clusters, {}, [EndpointModel.of(PART), failed])
    cells = [next(iter(column.cells)) for column in table.columns]
    assert (cells[2], cells[-1]) == ("healthy", "ViT-B-32__openai: no room")


def test_the_doctor_of_a_mesh_elsewhere_says_what_its_router_does(at: Use) -> None:
    api = FakeAdmin(PART, PART | {"cluster": "face", "state": "failed", "error": "the hub does not answer"})
    endpoint = {"address": "clip:50052", "state": "healthy", "detail": ""}
    api.clusters = [
        {"name": "clip", "endpoints": [endpoint]},
        {"name": "ocr", "endpoints": [endpoint | {"state": "unhealthy", "detail": "cannot be connected to"}]},
        {"name": "face", "endpoints": []},
    ]
    api.checks = [{"subject": "Immich", "ok": False, "text": "away", "remedy": "start it"}]
    with api.client() as client:
        found = {(one.subject, one.verdict.value): one for one in check_elsewhere(client)}
    assert found.keys() == {
        *(("router", "good"), ("clip", "good"), ("ocr", "bad"), ("face", "bad")),
        *(("clip model", "good"), ("face model", "bad"), ("Immich", "bad")),
    }
    assert "cannot be connected to" in found["ocr", "bad"].text
    assert "the hub does not answer" in found["face model", "bad"].text
    assert all(one.remedy for one in found.values() if one.verdict is Verdict.BAD)


def test_a_router_elsewhere_that_does_not_answer_is_one_finding() -> None:
    with AdminClient("http://127.0.0.1:9") as client:
        (finding,) = check_elsewhere(client)
    assert "cannot reach the router's admin page" in finding.text
    assert "IMMICH_MESH_ADMIN_URL" in finding.remedy


def test_why_a_model_failed_is_told_once_below_the_table(at: Use, capsys: pytest.CaptureFixture[str]) -> None:
    failed = PART | {"state": "failed", "error": "the hub does not answer", "provider": "", "memory_bytes": 0}
    at(FakeAdmin(failed, failed | {"part": "textual"}))
    assert cli.run(["ps"]) == 0
    shown = capsys.readouterr()
    assert "the hub" not in shown.out
    assert shown.err == "ViT-B-16__cn-clip: the hub does not answer\n"


def test_nothing_in_memory_is_said(at: Use, capsys: pytest.CaptureFixture[str]) -> None:
    at(FakeAdmin())
    assert cli.run(["ps"]) == 0
    assert capsys.readouterr().out.startswith("Nothing is loaded")


def test_load_finds_the_service_by_the_models_family(at: Use, capsys: pytest.CaptureFixture[str]) -> None:
    api = at(FakeAdmin())
    assert cli.run(["load", "cn-clip/ViT-B-16"]) == 0
    assert api.orders == [("/models/load", {"cluster": "clip", "name": "ViT-B-16__cn-clip", "wait": True})]
    assert "ViT-B-16__cn-clip is loaded" in capsys.readouterr().out


def test_a_model_of_ones_own_is_found_where_it_is(at: Use) -> None:
    api = at(FakeAdmin(PART | {"name": "mine", "cluster": "clip-large"}))
    assert cli.run(["unload", "mine"]) == 0
    assert api.orders == [("/models/unload", {"cluster": "clip-large", "name": "mine", "wait": True})]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["load", "nonsense"], "whose model is 'nonsense'"),
        (["unload"], "name a model, or all of a cluster"),
        (["unload", "--all"], "--all needs --cluster"),
        (["unload", "buffalo_l", "--all"], "name a model, or all of a cluster"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    at: Use, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    api = at(FakeAdmin())
    assert cli.run(arguments) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert api.orders == []


@pytest.mark.parametrize(("status", "code"), [(404, ExitCode.REFUSED), (503, ExitCode.UNREACHABLE)])
def test_the_routers_reason_is_the_commands(
    at: Use, status: int, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    at(FakeAdmin(PART)).refusal = httpx.Response(status, json={"error": {"message": "no\nspace left"}})
    assert cli.run(["load", "ViT-B-16__cn-clip"]) == code
    assert capsys.readouterr().err == "immich-mesh: no space left\n"


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
def test_another_server_is_not_taken_for_the_admin_page(body: bytes) -> None:
    other = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    with AdminClient(URL, transport=other) as client, pytest.raises(CommandError, match="the router's admin page"):
        client.models()


def test_why_a_request_waits() -> None:
    now = [0.0]
    waiting = Waiting("clip", lambda name: 754_000_000, clock=lambda: now[0])

    def told(state: str, progress: float = 0.0) -> str:
        part = EndpointModel.of(PART | {"state": state, "download_progress": progress})
        return waiting.reason(ModelList((part,), {}))

    assert told("downloading", 0.2) == "ViT-B-16__cn-clip is being downloaded: 20% of 754 MB"
    now[0] = 60.0
    assert told("downloading", 0.4) == "ViT-B-16__cn-clip is being downloaded: 40% of 754 MB, 3 min left"
    now[0] = 180.0
    assert told("downloading", 0.8).endswith("80% of 754 MB, 60 s left")
    assert told("loading") == "ViT-B-16__cn-clip is being loaded"
    assert told("loaded") == held()
    assert waiting.reason(ModelList((), {"clip": "10.0.0.2:1: refused; last: ..."})) == (
        "the clip service does not answer (10.0.0.2:1: refused)"
    )


def test_a_pace_is_of_what_came_between_two_looks() -> None:
    def look(**requests: int) -> list[dict[str, Any]]:
        return [{"endpoints": [{"address": address, "requests": count} for address, count in requests.items()]}]

    assert rates(look(a=10, b=5), look(a=30, b=0, c=9), 2.0) == {"a": 10.0, "b": 0.0}
