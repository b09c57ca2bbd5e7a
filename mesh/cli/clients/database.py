"""Immich's database for one command: connected, asked, left; what goes wrong there is one line and a code."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from mesh.cli.output.outcome import CommandError, ExitCode

T = TypeVar("T")

CONNECT_SECONDS = 10.0


async def in_database(url: str, work: Callable[[Any], Awaitable[T]]) -> T:
    """The result of `work(connection)`. Raises CommandError."""
    try:
        connection = await _connected(url)
        try:
            return await work(connection)
        finally:
            connection.terminate()
    except asyncpg.InsufficientPrivilegeError as error:
        raise CommandError(f"{error}: use Immich's own database user", ExitCode.REFUSED) from error
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise CommandError(f"the database refuses: {error}", ExitCode.REFUSED) from error
    except (asyncpg.PostgresConnectionError, TimeoutError, OSError) as error:
        raise CommandError(f"the database cannot be reached: {error or 'no answer'}", ExitCode.UNREACHABLE) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandError(f"{error}") from error


async def _connected(url: str) -> Any:
    try:
        return await asyncpg.connect(url, timeout=CONNECT_SECONDS, server_settings={"application_name": "immich-mesh"})
    except (asyncpg.ClientConfigurationError, ValueError) as error:  # ValueError: of a port that is no number
        example = "postgresql://user:password@host:5432/immich"
        raise CommandError(f"the database's URL is wrong ({error}): write it like {example}", ExitCode.USAGE) from None
