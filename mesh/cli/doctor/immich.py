"""`doctor --immich URL --api-key KEY`: Immich itself, and whether its machine-learning URLs lead to this mesh."""

from aiohttp import ClientSession, DummyCookieJar

from mesh.cli.doctor.finding import Finding, Verdict
from router.config.front_door import FrontDoorSettings
from router.front_door.health.check import Check
from router.front_door.health.immich import all_checks, probing
from router.front_door.immich.api import ImmichApi

VERDICTS = {True: Verdict.GOOD, None: Verdict.NOTE, False: Verdict.BAD}
SECONDS = 10.0


async def check_immich(url: str, api_key: str | None, served_model: str) -> list[Finding]:
    """What Immich's API tells.

    Args:
        url: Immich's address, with or without `/api`.
        api_key: an administrator's; without one only Immich's version is seen.
        served_model: the CLIP model that the mesh is set to serve.
    """
    settings = FrontDoorSettings(immich_url=url)
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        api = ImmichApi(session, settings.immich_url, timeout_seconds=SECONDS)
        return [_finding(check) for check in await all_checks(api, api_key, probing(session), served_model, None)]


def _finding(check: Check) -> Finding:
    return Finding(VERDICTS[check.ok], check.subject, check.text, check.remedy)
