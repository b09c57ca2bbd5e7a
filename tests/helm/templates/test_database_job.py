"""templates/database-job.yaml"""

from typing import Any

from tests.helm.cluster.engine import Release
from tests.helm.cluster.store import Object
from tests.helm.conftest import Render

VALUES = {"immich": {"url": "http://immich:2283"}, "database": {"existingSecret": "immich-db", "key": "uri"}}


def database_job(release: Release) -> Object:
    (found,) = [one for one in release.all("Job") if "database" in one["metadata"]["name"]]
    return found


def pod(release: Release) -> Object:
    found: Object = database_job(release)["spec"]["template"]["spec"]
    return found


def secret(container: dict[str, Any]) -> dict[str, str]:
    (found,) = [one["valueFrom"]["secretKeyRef"] for one in container["env"] if one["name"] == "MESH_DATABASE_URL"]
    return found


def database(**migrate: Any) -> Object:
    return {**VALUES, "database": {**VALUES["database"], "migrate": migrate}}


def test_it_migrates_then_fills(render: Render) -> None:
    found = pod(render(VALUES))
    assert [one["args"] for one in found["initContainers"]] == [["immich-mesh", "db", "migrate"]]
    assert [one["args"] for one in found["containers"]] == [["immich-mesh", "db", "backfill"]]
    assert secret(found["initContainers"][0]) == secret(found["containers"][0]) == {"name": "immich-db", "key": "uri"}


def test_another_user_may_own_the_tables(render: Render) -> None:
    found = pod(render(database(existingSecret="owner", key="url", grantTo="mesh_search")))
    assert found["initContainers"][0]["args"] == ["immich-mesh", "db", "migrate", "--grant", "mesh_search", "--refresh"]
    assert secret(found["containers"][0]) == {"name": "owner", "key": "url"}


def test_its_name_changes_with_what_it_does_and_with_nothing_else(render: Render) -> None:
    """A Job's template cannot be changed, and tools that render without a release know no revision."""

    def name(values: Object) -> str:
        found: str = database_job(render(values))["metadata"]["name"]
        return found

    assert name(VALUES) == name({**VALUES, "clip": {"replicaCount": 2}, "commonLabels": {"team": "photos"}})
    changed = [database(grantTo="mesh_search"), {**VALUES, "image": {"tag": "9"}}, database(env=[{"name": "A"}])]
    assert len({name(VALUES), *map(name, changed)}) == 1 + len(changed)


def test_it_goes_by_itself_and_argo_runs_it_in_each_sync(render: Render) -> None:
    found = database_job(render(database(ttlSecondsAfterFinished=60, annotations={"a": "b"})))
    assert found["spec"]["ttlSecondsAfterFinished"] == 60
    assert found["metadata"]["annotations"] == {
        "a": "b",
        "argocd.argoproj.io/hook": "Sync",
        "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
    }


def test_its_containers_take_further_variables(render: Render) -> None:
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
    found = pod(render(database(env=[proxy])))
    assert all(proxy in one["env"] for one in (*found["initContainers"], *found["containers"]))


def test_it_can_be_left_out(render: Render) -> None:
    for values in ({}, database(enabled=False)):
        assert not [one for one in render(values).all("Job") if "database" in one["metadata"]["name"]]
