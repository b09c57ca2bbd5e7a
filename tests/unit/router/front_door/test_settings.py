"""The front door's settings: Immich's own names for where Immich and its database are, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from router.config.file import load
from router.config.front_door import FrontDoorSettings
from sql.immich_environment import immich_database_url


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"DB_PASSWORD": "x"}, None),
        ({"DB_HOSTNAME": "db"}, "postgresql://postgres:postgres@db:5432/immich"),
        (
            {
                "DB_HOSTNAME": "db",
                "DB_PORT": "6000",
                "DB_USERNAME": "im@mich",
                "DB_PASSWORD": "p:/?#w",
                "DB_DATABASE_NAME": "photos",
                "DB_SSL_MODE": "no-verify",
            },
            "postgresql://im%40mich:p%3A%2F%3F%23w@db:6000/photos?sslmode=require",
        ),
        ({"DB_URL": "postgres://a:b@c/d?sslmode=no-verify", "DB_HOSTNAME": "x"}, "postgres://a:b@c/d?sslmode=require"),
    ],
)
def test_immichs_names_for_its_database(environment: dict[str, str], url: str | None) -> None:
    assert immich_database_url(environment) == url


def test_the_router_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMICH_URL", "http://immich-server:2283/")
    monkeypatch.setenv("DB_HOSTNAME", "database")
    monkeypatch.setenv("ROUTER_LISTENERS__PHOTOS__HYBRID", "true")
    monkeypatch.setenv("ROUTER_LISTENERS__PHOTOS__TRUSTED_PROXIES", "192.0.2.0/24, 10.0.0.1")
    photos = load(None).listeners.photos
    assert photos.immich_url == "http://immich-server:2283"
    assert photos.database.url is not None
    assert photos.database.url.get_secret_value() == "postgresql://postgres:postgres@database:5432/immich"
    assert photos.hybrid
    assert photos.trusted_proxies == ("192.0.2.0/24", "10.0.0.1")
    monkeypatch.setenv("ROUTER_LISTENERS__PHOTOS__DATABASE__URL", "postgresql://own@db/immich")
    url = load(None).listeners.photos.database.url
    assert url is not None
    assert url.get_secret_value() == "postgresql://own@db/immich"
    assert "own@db" not in str(load(None))


@pytest.mark.parametrize(
    "wrong",
    [{"immich_url": "immich-server:2283"}, {"trusted_proxies": "everyone"}, {"api_concurrency": 0}, {"unknown": 1}],
)
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FrontDoorSettings(**wrong)
