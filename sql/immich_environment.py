"""Immich's own names for its database (`DB_URL`, or `DB_HOSTNAME` and others), so that one .env file serves both."""

from collections.abc import Mapping
from urllib.parse import quote

SSL_MODES = {"no-verify": "require"}
"""Node's names of SSL modes that PostgreSQL's own clients call otherwise."""


def immich_database_url(environment: Mapping[str, str]) -> str | None:
    """The URL that Immich itself would connect to; None when neither `DB_URL` nor `DB_HOSTNAME` is set.

    Defaults are Immich's: port 5432, user and password `postgres`, database `immich`. Node's SSL mode `no-verify`
    becomes `require`.
    """
    if url := environment.get("DB_URL"):
        for theirs, ours in SSL_MODES.items():
            url = url.replace(f"sslmode={theirs}", f"sslmode={ours}")
        return url
    host = environment.get("DB_HOSTNAME")
    if not host:
        return None
    user = quote(environment.get("DB_USERNAME") or "postgres", safe="")
    password = quote(environment.get("DB_PASSWORD") or "postgres", safe="")
    name = quote(environment.get("DB_DATABASE_NAME") or "immich", safe="")
    mode = environment.get("DB_SSL_MODE", "")
    options = f"?sslmode={SSL_MODES.get(mode, mode)}" if mode else ""
    return f"postgresql://{user}:{password}@{host}:{environment.get('DB_PORT') or '5432'}/{name}{options}"
