"""What becomes of requests that are under way when a service of `immich-mesh up` dies, and when all of it is to end.

The service is stopped in its tracks (SIGSTOP) until all requests are on their way to it, so that they are in flight for
certain.
"""

import os
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from mesh.cli.clients.results import FaceAnswer
from mesh.cli.clients.router_client import RouterClient
from tests.builders.faces import marker_photo
from tests.integration.cli.conftest import ONLY_FACES, Up, running
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

REQUESTS = 6


def photos() -> list[bytes]:
    """Photos that differ, since equal ones share one call, with one face each, at another place."""
    encoded = []
    for number in range(REQUESTS):
        left = 40 + 10 * number
        file = BytesIO()
        Image.fromarray(marker_photo(400, 300, {"magenta": (left, 60, left + 80, 140)})).save(file, "PNG")
        encoded.append(file.getvalue())
    return encoded


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[Up]:
    """Router and face service, ready."""
    with running(tmp_path, *ONLY_FACES) as up:
        up.wait_for(r"face +127\.0\.0\.1:\d+ +ready +buffalo_l")
        yield up


def in_flight(up: Up, pool: ThreadPoolExecutor) -> list[Future[FaceAnswer]]:
    """One request per photo, each at the face service, which is stopped."""

    def ask(photo: bytes) -> FaceAnswer:
        with RouterClient(up.url, timeout_seconds=PATIENCE_SECONDS) as client:
            return client.detect(photo, None, None)

    os.kill(up.children()["face_service"], signal.SIGSTOP)
    asked = [pool.submit(ask, photo) for photo in photos()]
    up.wait_until(lambda: active(up) == REQUESTS, f"{REQUESTS} requests in flight")
    return asked


def active(up: Up) -> int:
    """How many requests the face service has."""
    (cluster,) = (cluster for cluster in up.admin("/clusters")["clusters"] if cluster["name"] == "face")
    return sum(endpoint["active"] for endpoint in cluster["endpoints"])


def check(asked: list[Future[FaceAnswer]]) -> None:
    """Every request has its own answer."""
    lefts = [answer.faces[0].box[0] for answer in (one.result() for one in asked)]
    assert lefts == [40 + 10 * number for number in range(REQUESTS)]


def test_a_service_that_dies_with_requests_in_flight_loses_none(faces: Up) -> None:
    before = faces.children()["face_service"]
    with ThreadPoolExecutor(REQUESTS) as pool:
        asked = in_flight(faces, pool)
        os.kill(before, signal.SIGKILL)
        check(asked)
    assert faces.children()["face_service"] != before
    assert "face: not ready: ended (SIGKILL from outside), is started again" in faces.output


def test_the_end_waits_for_requests_in_flight(faces: Up) -> None:
    with ThreadPoolExecutor(REQUESTS) as pool:
        asked = in_flight(faces, pool)
        faces.process.send_signal(signal.SIGTERM)
        faces.wait_for(r"router +\| .*stopping: requests in flight")
        assert not any(one.done() for one in asked)
        os.kill(faces.children()["face_service"], signal.SIGCONT)
        check(asked)
    assert faces.process.wait(PATIENCE_SECONDS) == 0
    assert re.findall(r"method=POST path=/predict code=(\d+)", faces.output) == ["200"] * REQUESTS
