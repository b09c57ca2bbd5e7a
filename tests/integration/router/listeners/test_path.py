"""The path in Immich's URL: any is served, or, when one is set, only that one."""

import aiohttp
import pytest

from router.config import ImmichMlListener
from tests.doubles.router import Front, front, quiet_listeners
from tests.doubles.services import Services
from tests.integration.router.listeners.test_listener import CLIP

SECRET = "aGVsbG8-7f3a"


async def ask(stage: Front, method: str, path: str) -> int:
    form = None
    if method == "POST":
        form = aiohttp.FormData()
        form.add_field("entries", CLIP)
        form.add_field("image", b"photo", filename="blob")
    async with stage.client.request(method, path, data=form) as reply:
        return reply.status


@pytest.mark.parametrize("path", ["", "/ml", "/a/b"])
async def test_immich_3_keeps_the_path_of_its_url(stage: Front, path: str) -> None:
    assert await ask(stage, "GET", f"{path}/ping") == 200
    assert await ask(stage, "GET", f"{path}/") == 200
    assert await ask(stage, "POST", f"{path}/predict") == 200
    assert await ask(stage, "GET", f"{path}/predict") == 405


async def test_with_a_secret_path_nothing_else_predicts(services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    async with front(services, listeners=quiet_listeners(path=f"/{SECRET}/")) as stage:
        assert await ask(stage, "POST", f"/{SECRET}/predict") == 200
        for path in ("", "/ml", f"/{SECRET}x", f"/{SECRET[:-1]}", f"/{SECRET}/{SECRET}", f"/%2e/{SECRET}x"):
            assert await ask(stage, "POST", f"{path}/predict") == 404
        assert services.calls == ["EncodeImage"]
        assert await ask(stage, "GET", "/") == 404
        assert await ask(stage, "GET", f"/{SECRET}/other") == 404
        assert await ask(stage, "GET", "/ping") == 200  # a probe knows no secret
        assert await ask(stage, "GET", f"/{SECRET}/ping") == 200
        seen = stage.router.recent.newest_first()
        assert {request.path for request in seen} == {"/predict"}
    assert SECRET[:-1] not in "".join(capsys.readouterr())


def test_a_path_is_stripped_of_its_slashes_and_checked() -> None:
    path = ImmichMlListener(path="/a/b/").path
    assert path is not None
    assert path.get_secret_value() == "a/b"
    assert ImmichMlListener(path="/").path is None
    with pytest.raises(ValueError, match="letters"):
        ImmichMlListener(path="a b")
