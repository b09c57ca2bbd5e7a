"""What the main router says of Immich behind the photo front door: `/immich` of its admin page, for `up`'s summary."""

from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from pydantic import BaseModel, ValidationError

from mesh.cli.machine.plan import reachable
from mesh.cli.machine.plans import MachinePlan
from mesh.cli.supervisor.probes import PROBE_SECONDS


class DoorCheck(BaseModel):
    """One thing that was looked at: `ok` is None where it is neither well nor wrong."""

    subject: str
    ok: bool | None
    text: str
    remedy: str = ""


class _Answer(BaseModel):
    checks: list[DoorCheck]


@dataclass(frozen=True, slots=True)
class DoorProbe:
    """Asks the main router. `url` is None where there is no front door, or no admin page to ask."""

    url: str | None

    @classmethod
    def of(cls, machine: MachinePlan) -> "DoorProbe":
        """From what runs here."""
        listeners = machine.routers[0].listeners
        admin = listeners.get("admin")
        return cls(f"http://{reachable(admin.host)}:{admin.port}" if admin and "photos" in listeners else None)

    async def checks(self) -> Sequence[DoorCheck]:
        """What was looked at; nothing where nobody answers, which the router's own row tells."""
        if self.url is None:
            return ()
        timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self.url}/immich", raise_for_status=True) as reply,
            ):
                return _Answer.model_validate_json(await reply.read()).checks
        except (TimeoutError, aiohttp.ClientError, ValidationError):
            return ()
