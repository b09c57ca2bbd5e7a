"""_components.tpl: Immich's second URL is a router of its own, which takes the first one's values."""

import yaml

from tests.helm.cluster.engine import Release
from tests.helm.cluster.selectors import selects
from tests.helm.cluster.store import Object
from tests.helm.conftest import CHART, PRESETS, Render

ROUTERS = ("mesh-immich-mesh-router", "mesh-immich-mesh-router-2")


def pod(release: Release, name: str) -> Object:
    return release.find("Deployment", name)["spec"]["template"]


def test_the_two_addresses_never_lead_to_the_same_pod(render: Render) -> None:
    release = render({"router": {"replicaCount": 3}})
    for name in ROUTERS:
        selector = release.find("Service", name)["spec"]["selector"]
        assert [one for one in ROUTERS if selector.items() <= pod(release, one)["metadata"]["labels"].items()] == [name]
        assert release.find("Deployment", name)["spec"]["replicas"] == 3


def test_every_preset_has_two(render: Render) -> None:
    for preset in PRESETS:
        release = render(yaml.safe_load((CHART / preset).read_text()))
        assert {name for name in ROUTERS if release.find("Service", name)} == set(ROUTERS)


def test_it_takes_the_first_ones_values_and_its_own_win(render: Render) -> None:
    values = {
        "router": {"priorityClassName": "high", "config": {"access_log": False}},
        "secondRouter": {"priorityClassName": "low", "config": {"reload_interval_seconds": 9}},
    }
    release = render(values)
    assert [pod(release, name)["spec"]["priorityClassName"] for name in ROUTERS] == ["high", "low"]
    first, second = (yaml.safe_load(release.find("ConfigMap", name)["data"]["router.yaml"]) for name in ROUTERS)
    assert "reload_interval_seconds" not in first
    assert second == {**first, "reload_interval_seconds": 9}


def test_the_admin_page_is_told_what_to_enter_in_immich(render: Render) -> None:
    def told(values: dict[str, object], name: str) -> list[str]:
        config = yaml.safe_load(render(values).find("ConfigMap", name)["data"]["router.yaml"])
        urls: list[str] = config["listeners"]["immich_ml"]["urls"]
        return urls

    both = [f"http://{name}.immich.svc.cluster.local:3003" for name in ROUTERS]
    door = {"database": {"existingSecret": "db"}, "immich": {"url": "http://immich-server:2283"}}
    for name in (*ROUTERS, "mesh-immich-mesh-front-door"):
        assert told(door, name) == both
    assert told({"secondRouter": {"enabled": False}}, ROUTERS[0]) == both[:1]


def test_both_keep_to_different_nodes_where_they_can(render: Render) -> None:
    release = render()
    for name in ROUTERS:
        (spread,) = pod(release, name)["spec"]["topologySpreadConstraints"]
        assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
        assert all(selects(spread["labelSelector"], pod(release, one)["metadata"]["labels"]) for one in ROUTERS)
    off = render({"router": {"topologySpreadConstraints": []}})
    assert all("topologySpreadConstraints" not in pod(off, name)["spec"] for name in ROUTERS)


def test_it_goes_with_the_first_one(render: Render) -> None:
    for values in ({"router": {"enabled": False}}, {"secondRouter": {"enabled": False}}):
        assert not [one for one in render(values).manifests if one["metadata"]["name"] == ROUTERS[1]]
