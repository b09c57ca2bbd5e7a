"""While Immich is away the log says so once, and once that it is back."""

import aiohttp
from structlog.testing import capture_logs

from router.front_door.reach import Reach
from tests.doubles.front_door import open_door
from tests.doubles.immich import ImmichDouble


def test_one_line_for_each_change() -> None:
    now = [10.0]
    with capture_logs() as lines:
        reach = Reach("http://immich:2283", lambda: now[0])
        reach.answered()
        for _ in range(5):
            reach.failed("refused")
        now[0] = 72.0
        reach.answered()
        reach.answered()
        reach.failed("refused")
    assert [line["event"] for line in lines] == [
        "Immich cannot be reached",
        "Immich answers again",
        "Immich cannot be reached",
    ]
    assert (lines[1]["seconds"], lines[1]["requests_failed"]) == (62, 5)


async def test_whatever_is_asked_of_an_absent_immich_warns_once() -> None:
    immich = ImmichDouble()
    immich.url = "http://127.0.0.1:1"
    with capture_logs() as lines:
        async with open_door(immich) as door, aiohttp.ClientSession(door.url) as client:
            for method, path in (("GET", "/api/server/ping"), ("GET", "/photos"), ("GET", "/mesh/refresh/missing")) * 3:
                async with client.request(method, path, headers={"x-api-key": "key"}) as reply:
                    assert reply.status == 502
    warnings = [line["event"] for line in lines if line["log_level"] in ("warning", "error")]
    assert warnings == ["Immich cannot be reached"]
