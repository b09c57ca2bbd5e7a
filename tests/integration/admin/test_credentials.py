"""What a caller of the photo front door shows to be let in stands in no log and on no page of the operator's."""

import aiohttp
import pytest

from tests.doubles.immich import DoubleKey, ImmichDouble
from tests.integration.admin.conftest import AdminStage

SECRET = "caller-secret"
WAYS: tuple[tuple[dict[str, str], str], ...] = (
    ({"x-api-key": SECRET}, ""),
    ({"Authorization": f"Bearer {SECRET}"}, ""),
    ({"x-immich-user-token": SECRET}, ""),
    ({"x-immich-session-token": SECRET}, ""),
    ({"Cookie": f"immich_access_token={SECRET}"}, ""),
    ({}, f"?apiKey={SECRET}"),
    ({}, f"?sessionKey={SECRET}"),
    ({}, f"?key={SECRET}"),
    ({}, f"?slug={SECRET}"),
)
PATHS = ("/api/users/me", "/api/search/smart", "/api/assets/jobs", "/mesh/search/explain", "/mesh/refresh", "/photos")


@pytest.mark.parametrize("known", [True, False])
async def test_no_credential_is_logged_or_shown(
    connected: tuple[AdminStage, ImmichDouble],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    known: bool,
) -> None:
    stage, immich = connected
    if known:
        immich.keys[SECRET] = DoubleKey(immich.user("alice"), is_api_key=False)
    caplog.set_level("DEBUG")
    door = f"http://{stage.router.listener('photos').address}"
    async with aiohttp.ClientSession() as client:
        for headers, query in WAYS:
            for path in PATHS:
                body = {"query": "ocr:x", "name": "refresh-ocr", "assetIds": [], "assetId": ""}
                method = "GET" if path in ("/api/users/me", "/photos") else "POST"
                sent = None if method == "GET" else body
                async with client.request(method, f"{door}{path}{query}", headers=headers, json=sent) as reply:
                    await reply.read()
    shown = ""
    for path in ("requests", "config_dump", "stats", "info", "immich", "jobs", "listeners"):
        async with stage.admin.get(f"/{path}") as reply:
            shown += await reply.text()
    out, err = capfd.readouterr()
    written = out + err + caplog.text
    assert "listener=photos" in written, "what should be looked at was not captured"
    assert SECRET not in written
    assert SECRET not in shown
    assert "admin-key" not in written + shown
