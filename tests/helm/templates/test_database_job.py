"""templates/database-job.yaml"""

from typing import Any

from tests.helm.conftest import Render

VALUES = {"immich": {"url": "http://immich:2283"}, "database": {"existingSecret": "immich-db", "key": "uri"}}


def secret(container: dict[str, Any]) -> dict[str, str]:
    (found,) = [one["valueFrom"]["secretKeyRef"] for one in container["env"] if one["name"] == "MESH_DATABASE_URL"]
    return found


def test_it_migrates_then_fills(render: Render) -> None:
    pod = render(VALUES).find("Job", "mesh-immich-mesh-database-1")["spec"]["template"]["spec"]
    assert [one["args"] for one in pod["initContainers"]] == [["immich-mesh", "db", "migrate"]]
    assert [one["args"] for one in pod["containers"]] == [["immich-mesh", "db", "backfill"]]
    assert secret(pod["initContainers"][0]) == secret(pod["containers"][0]) == {"name": "immich-db", "key": "uri"}


def test_another_user_may_own_the_tables(render: Render) -> None:
    migrate = {"existingSecret": "owner", "key": "url", "grantTo": "mesh_search"}
    values = {**VALUES, "database": {**VALUES["database"], "migrate": migrate}}
    pod = render(values).find("Job", "mesh-immich-mesh-database-1")["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["args"] == ["immich-mesh", "db", "migrate", "--grant", "mesh_search", "--refresh"]
    assert secret(pod["containers"][0]) == {"name": "owner", "key": "url"}


def test_it_can_be_left_out(render: Render) -> None:
    off = {**VALUES, "database": {"existingSecret": "immich-db", "migrate": {"enabled": False}}}
    for values in ({}, off):
        assert not [one for one in render(values).all("Job") if "database" in one["metadata"]["name"]]
