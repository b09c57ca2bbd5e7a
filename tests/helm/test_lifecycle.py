"""Install, upgrade, rollback, uninstall by the Helm engine, for every preset, in every cluster version."""

from typing import Any

import pytest
import yaml
from helm_sdkpy.exceptions import InstallError, UpgradeError

from tests.helm.cluster import api
from tests.helm.cluster.engine import Helm, Release
from tests.helm.cluster.store import Object
from tests.helm.conftest import CHART, PRESETS, VERSIONS
from tests.helm.odd_values import EVERYTHING, ODD_VALUES


def preset(name: str) -> Object:
    return yaml.safe_load((CHART / name).read_text()) if name else {}


def without_server_fields(found: Object) -> Object:
    """An object as it was sent: what the server and Helm itself add, and what is empty, is left out."""
    meta = {key: value for key, value in found["metadata"].items() if key in ("name", "labels", "annotations")}
    meta["annotations"] = {
        key: value for key, value in (meta.get("annotations") or {}).items() if not key.startswith("meta.helm.sh/")
    }
    meta["labels"] = {**(meta.get("labels") or {}), "app.kubernetes.io/managed-by": "Helm"}
    return pruned({**{key: value for key, value in found.items() if key != "status"}, "metadata": meta})


def pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: pruned(part) for key, part in value.items() if part not in (None, {}, [])}
    return [pruned(part) for part in value] if isinstance(value, list) else value


def assert_stored(server: api.ApiServer, release: Release) -> None:
    """The cluster holds exactly the release's objects, as they were rendered."""
    hooks = {(one["kind"], one["metadata"]["name"]) for one in release.hooks}
    stored = {
        (one["kind"], one["metadata"]["name"]): without_server_fields(one)
        for one in server.objects()
        if (one["kind"], one["metadata"]["name"]) not in hooks
    }
    rendered = {(one["kind"], one["metadata"]["name"]): without_server_fields(one) for one in release.manifests}
    assert stored.keys() == rendered.keys()
    for key in rendered:
        assert stored[key] == rendered[key], key


def test_lint_finds_nothing_to_mend() -> None:
    with api.running() as server:
        result = Helm(server).lint()
    assert result["TotalChartsLinted"] == 1
    assert not result["Errors"]
    assert not result["Messages"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_cluster_version_takes_everything_that_the_chart_can_write(version: str) -> None:
    with api.running(version) as server:
        release = Helm(server).install(EVERYTHING)
        assert_stored(server, release)


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
@pytest.mark.parametrize("name", ["", *PRESETS])
def test_a_preset_lives_through_upgrade_rollback_and_uninstall(name: str, version: str) -> None:
    values = preset(name)
    changed = {
        **values,
        "commonLabels": {"team": "photos"},
        "frontDoor": {"enabled": True},
        "immich": {"url": "http://immich:2283"},
    }
    with api.running(version) as server:
        helm = Helm(server)
        first = helm.install(values, wait=True, timeout=30)
        assert_stored(server, first)
        second = helm.upgrade(changed, wait=True, timeout=30)
        assert_stored(server, second)
        assert any(one["metadata"]["name"].endswith("front-door") for one in server.objects("Deployment"))
        helm.rollback(1)
        assert_stored(server, first)
        helm.uninstall()
        left = {(one["kind"], one["metadata"]["name"]) for one in server.objects()}
        assert left == {("PersistentVolumeClaim", "mesh-immich-mesh-models")}


@pytest.mark.parametrize("values", ODD_VALUES.values(), ids=ODD_VALUES.keys())
def test_odd_values_are_admitted(values: Object) -> None:
    with api.running() as server:
        release = Helm(server).install(values, "an-odd-release")
        assert_stored(server, release)


def test_server_side_apply_gives_the_same_objects() -> None:
    with api.running() as server:
        helm = Helm(server)
        helm.install({}, server_side_apply=True)
        release = helm.upgrade({"commonLabels": {"team": "photos"}}, server_side_apply=True)
        assert_stored(server, release)


def test_an_upgrade_that_the_cluster_refuses_rolls_back_by_itself() -> None:
    with api.running() as server:
        helm = Helm(server)
        first = helm.install()
        refused = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "zz"}, "data": {"a": 1}}
        with pytest.raises(UpgradeError, match="has been rolled back"):
            helm.upgrade(
                {"ocr": {"replicaCount": 3}, "extraObjects": [refused]}, rollback_on_failure=True, wait=True, timeout=30
            )
        assert_stored(server, first)


def test_the_models_volume_outlives_releases() -> None:
    with api.running() as server:
        helm = Helm(server)
        helm.install()
        volume = server.objects("PersistentVolumeClaim")[0]
        helm.upgrade({"models": {"persistence": {"size": "50Gi"}}})
        helm.uninstall()
        helm.install()
        assert [one["metadata"]["uid"] for one in server.objects("PersistentVolumeClaim")] == [
            volume["metadata"]["uid"]
        ]


def test_what_a_job_does_may_change_while_it_is_there() -> None:
    """Its template cannot change in place, so that an upgrade makes another one."""
    shared = {"persistence": {"accessModes": ["ReadWriteMany"]}}
    values = {
        "immich": {"url": "http://immich:2283"},
        "database": {"existingSecret": "immich-db"},
        "models": shared,
    }
    changed = {
        **values,
        "database": {"existingSecret": "immich-db", "migrate": {"grantTo": "mesh_search"}},
        "models": {**shared, "job": {"extraModels": ["buffalo_s"]}},
    }
    with api.running() as server:
        helm = Helm(server)
        first = helm.install(values)
        second = helm.upgrade(changed)
        assert_stored(server, second)
        names = [{one["metadata"]["name"] for one in release.all("Job")} for release in (first, second)]
        assert len(names[0] | names[1]) == 4
        assert_stored(server, helm.upgrade(changed))


def test_a_number_of_replicas_that_others_set_stays() -> None:
    values: Object = {"ocr": {"replicaCount": None}}
    with api.running() as server:
        helm = Helm(server)
        helm.install(values)
        scaled = next(one for one in server.objects("Deployment") if one["metadata"]["name"].endswith("-ocr"))
        scaled["spec"]["replicas"] = 5
        server.create(scaled)
        helm.upgrade({**values, "commonLabels": {"team": "photos"}})
        found = next(one for one in server.objects("Deployment") if one["metadata"]["name"].endswith("-ocr"))
        assert found["spec"]["replicas"] == 5
        assert found["metadata"]["labels"]["team"] == "photos"


TLS = {"enabled": True, "existingSecret": "mesh-tls"}
OFF: Object = {}
PERMISSIVE: Object = {"tls": {**TLS, "mode": "permissive"}}
STRICT: Object = {"tls": TLS}
PERMISSIVE_ONE_SIDED: Object = {"tls": {**TLS, "mode": "permissive", "mutual": False}}
ONE_SIDED: Object = {"tls": {**TLS, "mutual": False}}


@pytest.mark.parametrize(
    "steps", [(OFF, STRICT), (STRICT, OFF), (OFF, ONE_SIDED), (STRICT, ONE_SIDED), (ONE_SIDED, PERMISSIVE)]
)
def test_an_upgrade_that_would_cut_routers_off_is_refused_before_it_changes_anything(steps: list[Object]) -> None:
    with api.running() as server:
        helm = Helm(server)
        first = helm.install(steps[0])
        with pytest.raises(UpgradeError, match=r"tls\.(enabled|mutual): .*tls\.mode=permissive"):
            helm.upgrade(steps[1])
        assert_stored(server, first)


@pytest.mark.parametrize(
    "steps",
    [
        (OFF, PERMISSIVE, STRICT, STRICT, PERMISSIVE, OFF),
        (STRICT, PERMISSIVE, PERMISSIVE_ONE_SIDED, ONE_SIDED, PERMISSIVE_ONE_SIDED, PERMISSIVE, STRICT),
    ],
)
def test_tls_is_switched_by_way_of_permissive(steps: list[Object]) -> None:
    with api.running() as server:
        helm = Helm(server)
        helm.install(steps[0])
        for values in steps[1:]:
            assert_stored(server, helm.upgrade(values))


def test_a_cluster_that_is_too_old_is_refused() -> None:
    with api.running("1.28") as server, pytest.raises(InstallError, match=r"kubeVersion: >=1\.29"):
        Helm(server).install()


def test_a_missing_operator_is_named() -> None:
    with api.running(custom=False) as server, pytest.raises(InstallError, match="ServiceMonitor"):
        Helm(server).install({"monitoring": {"serviceMonitor": {"enabled": True}}})
