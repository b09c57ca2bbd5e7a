"""What self-healing writes in Immich's database: it lets Immich find forced OCR runs again that were lost whole."""

from types import TracebackType
from typing import Any, Self

from sql.database import Database
from sql.settings import DatabaseSettings


class HealingRepository:
    """Use as `async with HealingRepository(settings) as repository`; it never waits for the database to enter."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._database = Database(settings.model_copy(update={"pool_size": 1}))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.close()

    async def requeue_lost_text(self, limit: int) -> int:
        """Takes `ocrAt` from up to `limit` photos without text that were read before Immich last emptied its table.

        Returns how many. Photos that hold no text are among them: nobody can tell, and Immich reads them once more.

        Raises:
            UnavailableError: the database is away, not migrated, or the role may not refresh.
        """

        async def work(connection: Any) -> int:
            return int(await connection.fetchval("SELECT mesh.requeue_lost_text($1)", limit))

        return await self._database.write(work)
