"""Immich itself, asked over its API: is it there, which version, and do its machine-learning URLs lead to this mesh."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import Field, TypeAdapter

from mesh.hub.catalogue import clip_dimension
from router.front_door.errors import ImmichAwayError, LoopError
from router.front_door.health.check import Check
from router.front_door.immich.api import ImmichApi, Version
from router.front_door.immich.credentials import Credentials
from router.front_door.immich.schemas import ImmichAnswer

OLDEST: Version = (2, 2, 0)
"""The first Immich with OCR."""

PROBE_SECONDS = 3.0
SERVER = "immich-mesh"
"""How the mesh's listeners name themselves in `Server`."""

IsMesh = Callable[[str], Awaitable[bool | None]]
"""Whether a machine-learning URL leads to a mesh; None when nothing answers there (from here)."""


class _ClipConfig(ImmichAnswer):
    enabled: bool = True
    model: str = Field("", alias="modelName")


class _Task(ImmichAnswer):
    enabled: bool = True


class MachineLearning(ImmichAnswer):
    """Immich's machine-learning settings, `machineLearning` of `GET /api/system-config`."""

    enabled: bool = True
    urls: tuple[str, ...] = ()
    clip: _ClipConfig = _ClipConfig()
    ocr: _Task = _Task()
    faces: _Task = Field(_Task(), alias="facialRecognition")


class _SystemConfig(ImmichAnswer):
    ml: MachineLearning = Field(alias="machineLearning")


_CONFIG = TypeAdapter(_SystemConfig)


async def check_immich(api: ImmichApi, clock: Callable[[], float] = time.monotonic) -> Check:
    """Whether Immich answers, and which version it is."""
    started = clock()
    try:
        version = await api.version_now()
    except LoopError as error:
        return Check("Immich", False, error.message, "set IMMICH_URL to Immich's own address")
    except ImmichAwayError as error:
        return Check("Immich", False, error.message, f"start Immich, or correct IMMICH_URL ({api.url})")
    took = f"{1000 * (clock() - started):.0f} ms"
    if version is None:
        return Check("Immich", None, f"answers in {took} and does not tell its version")
    name = ".".join(map(str, version))
    if version < OLDEST:
        return Check("Immich", False, f"{name}, answers in {took}", "OCR search needs Immich 2.2 or later: update it")
    return Check("Immich", True, f"{name}, answers in {took}")


async def machine_learning(api: ImmichApi, api_key: str) -> MachineLearning | Check:
    """Immich's settings, or why they cannot be read. Raises ImmichAwayError."""
    credentials = Credentials({"x-api-key": api_key}, {}, by_key=True, present=True)
    reply = await api.ask("GET", "/api/system-config", credentials)
    if reply.status == HTTPStatus.UNAUTHORIZED:
        return Check("API key", False, "Immich does not know this API key", "copy it anew (Immich: account, API keys)")
    if reply.refused:
        text = f"Immich does not show its settings to this key ({reply.status})"
        return Check("ML URLs", None, text, "use an administrator's key with systemConfig.read")
    if not reply.ok:
        raise ImmichAwayError(f"Immich answered {reply.status} when asked for its settings")
    return reply.read(_CONFIG).ml


async def check_urls(ml: MachineLearning, is_mesh: IsMesh) -> list[Check]:
    """Whether Immich's machine learning is on, and whether its URLs lead here, at least two of them."""
    found = [
        Check("ML tasks", False, f"{what} is switched off in Immich", "Immich: Administration, Settings")
        for what, on in (("machine learning", ml.enabled), ("smart search", ml.clip.enabled), ("OCR", ml.ocr.enabled))
        if not on
    ]
    leads = dict(zip(ml.urls, await asyncio.gather(*map(is_mesh, ml.urls)), strict=True))
    ours = [url for url, mesh in leads.items() if mesh]
    where = "Immich: Administration, Settings, Machine learning"
    for url, mesh in leads.items():
        if mesh is None:
            found.append(Check("ML URLs", None, f"{url} does not answer from here", "check it where Immich runs"))
        elif not mesh:
            found.append(Check("ML URLs", False, f"{url} is no Immich Mesh", f"replace it ({where})"))
    if not leads:
        found.append(Check("ML URLs", False, "Immich has no machine-learning URL", f"enter this router's ({where})"))
    elif len(ours) == 1 and len(leads) == 1:
        text = f"only {ours[0]}: Immich drops jobs while that router restarts"
        found.append(Check("ML URLs", False, text, f"enter a second router's URL ({where})"))
    elif len(ours) == len(leads):
        found.append(Check("ML URLs", True, f"{len(ours)} lead here: {', '.join(ours)}"))
    return found


def check_clip(ml: MachineLearning, served_model: str, column: int | None) -> Check:
    """Whether the vectors of the model that is served fit what Immich asks for and what its database holds.

    Args:
        ml: Immich's settings.
        served_model: the model that answers every CLIP name of its dimension; empty when none is.
        column: length of the vectors in Immich's database; None when it is not known.
    """
    wanted, served = clip_dimension(ml.clip.model), clip_dimension(served_model)
    text = f"Immich asks for {ml.clip.model} ({wanted or 'unknown'} numbers), {served_model or 'itself'} is served"
    if wanted is not None and served is not None and wanted != served:
        return Check(
            "CLIP model", None, f"{text} ({served}): Immich's own model answers", "choose models of one length"
        )
    if column and wanted is not None and column != wanted:
        remedy = "in Immich, run smart search for all, which makes the column fit"
        return Check("CLIP model", False, f"{text}, but the database holds vectors of {column}", remedy)
    return Check("CLIP model", True, text + (f", as long as the database's ({column})" if column else ""))


def probing(session: ClientSession) -> IsMesh:
    """Asks a machine-learning URL who it is."""

    async def is_mesh(url: str) -> bool | None:
        try:
            async with session.get(
                f"{url.rstrip('/')}/ping", timeout=ClientTimeout(total=PROBE_SECONDS), allow_redirects=False
            ) as reply:
                return reply.headers.get("Server", "").startswith(SERVER)
        except (TimeoutError, ClientError, ValueError):
            return None

    return is_mesh


async def all_checks(
    api: ImmichApi, api_key: str | None, is_mesh: IsMesh, served_model: str, column: int | None
) -> Sequence[Check]:
    """Everything that Immich's API tells."""
    found: list[Check] = [await check_immich(api)]
    if found[0].ok is False:
        return found
    if not api_key:
        remedy = "give an administrator's API key (ROUTER_HEALING__API_KEY, doctor: --api-key)"
        return [*found, Check("ML URLs", None, "Immich's settings are not known without a key", remedy)]
    try:
        ml: Any = await machine_learning(api, api_key)
    except ImmichAwayError as error:
        return [*found, Check("ML URLs", False, error.message, "try again")]
    if isinstance(ml, Check):
        return [*found, ml]
    return [*found, *await check_urls(ml, is_mesh), check_clip(ml, served_model, column)]
