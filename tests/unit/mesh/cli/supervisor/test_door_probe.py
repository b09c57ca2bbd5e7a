"""What `up` asks the main router of Immich."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mesh.cli.machine.plans import MachinePlan
from mesh.cli.machine.routers import router_plans
from mesh.cli.machine.supervisor_settings import SupervisorSettings
from mesh.cli.supervisor.door import DoorCheck, DoorProbe
from router.config import RouterSettings


def machine(**photos: object) -> MachinePlan:
    settings = RouterSettings.model_validate({"listeners": {"photos": photos, "admin": {"port": 9901}}})
    return MachinePlan((), router_plans(settings, SupervisorSettings(second_router_port=None), {}))


def test_it_asks_where_there_is_a_front_door() -> None:
    assert DoorProbe.of(machine()).url is None
    assert DoorProbe.of(machine(immich_url="http://immich:2283")).url == "http://127.0.0.1:9901"


@pytest.mark.parametrize(
    ("body", "status", "checks"),
    [
        (
            {"checks": [{"subject": "Immich", "ok": None, "text": "?"}]},
            200,
            [DoorCheck(subject="Immich", ok=None, text="?")],
        ),
        ({"surprise": 1}, 200, ()),
        ({}, 500, ()),
    ],
)
async def test_an_answer_that_is_none_tells_nothing(body: object, status: int, checks: object) -> None:
    async def immich(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/immich", immich)
    async with TestServer(app) as server:
        assert await DoorProbe(str(server.make_url("/")).rstrip("/")).checks() == checks
