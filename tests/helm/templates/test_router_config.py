"""templates/router-config.yaml"""

from typing import Any

import yaml

from tests.helm.conftest import Render

DOOR = {"immich": {"url": "http://immich-server:2283"}}


def config(release: Any, slug: str = "router") -> dict[str, Any]:
    data = release.find("ConfigMap", f"mesh-immich-mesh-{slug}")["data"]
    return yaml.safe_load(data["router.yaml"])


def variables(release: Any, slug: str) -> dict[str, Any]:
    """A container's variables: values, or where they come from."""
    pod = release.find("Deployment", f"mesh-immich-mesh-{slug}")["spec"]["template"]["spec"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in pod["containers"][0]["env"]}


def test_the_router_finds_the_services_by_dns(render: Render) -> None:
    found = config(render({"clusterDomain": "example.local"}))
    assert found["ocr_endpoints"] == ["dns:///mesh-immich-mesh-ocr.immich.svc.example.local:50051"]
    assert found["clip_endpoints"] == ["dns:///mesh-immich-mesh-clip.immich.svc.example.local:50052"]
    assert found["face_endpoints"] == ["dns:///mesh-immich-mesh-face.immich.svc.example.local:50053"]


def test_each_process_opens_its_own_listeners(render: Render) -> None:
    release = render(DOOR)

    def opened(slug: str) -> set[str]:
        return {name for name, listener in config(release, slug)["listeners"].items() if listener["enabled"]}

    assert opened("router") == {"immich_ml", "mt_photos", "admin"}
    assert opened("front-door") == {"photos", "admin"}
    assert config(release, "front-door")["listeners"]["photos"]["immich_url"] == "http://immich-server:2283"
    for slug in ("router", "front-door"):
        assert config(release, slug)["listeners"]["admin"]["host"] == "127.0.0.1"


def test_settings_are_merged_over_the_charts(render: Render) -> None:
    routes = [{"task": "clip", "type": "textual", "cluster": "clip", "hedge_ms": 200}]
    given = {"clusters": {"clip": {"balancer": "round_robin"}}, "routes": routes, "ocr_endpoints": ["gpu-box:50051"]}
    found = config(render({"router": {"config": given}}))
    assert found["clusters"] == {"clip": {"balancer": "round_robin"}}
    assert found["clip_endpoints"][0].startswith("dns:///")
    assert found["routes"] == routes
    assert found["ocr_endpoints"] == ["gpu-box:50051"]


def test_the_models_are_the_services(render: Render) -> None:
    values = {
        "clip": {"config": {"model_name": "ViT-L-14__cn-clip"}},
        "ocr": {"config": {"model_name": "PP-OCRv5_server"}},
    }
    for slug in ("router", "router-2"):
        found = config(render(values), slug)
        assert (found["clip_model"], found["ocr_model"]) == ("ViT-L-14__cn-clip", "PP-OCRv5_server")


def test_a_service_that_is_off_is_not_waited_for(render: Render) -> None:
    found = config(render({"face": {"enabled": False}}))
    assert found["face_endpoints"] == []


def test_tls_is_configured_for_the_calls(render: Render) -> None:
    tls = {"enabled": True, "existingSecret": "mesh-tls"}
    assert config(render({"tls": tls}))["upstream_tls"] == {
        "ca_file": "/etc/immich-mesh/tls/ca.crt",
        "cert_file": "/etc/immich-mesh/tls/tls.crt",
        "key_file": "/etc/immich-mesh/tls/tls.key",
    }
    one_sided = config(render({"tls": {**tls, "mutual": False}}))
    assert one_sided["upstream_tls"] == {"ca_file": "/etc/immich-mesh/tls/ca.crt"}


def test_permissive_tls_is_so_on_both_sides(render: Render) -> None:
    tls = {"enabled": True, "existingSecret": "mesh-tls"}
    release = render({"tls": {**tls, "mode": "permissive"}})
    assert config(release)["upstream_tls"]["permissive"] is True
    assert variables(release, "ocr")["OCR_TLS__PERMISSIVE"] == "true"
    assert "OCR_TLS__PERMISSIVE" not in variables(render({"tls": tls}), "ocr")


HEALING = {"url": "http://immich-server:2283", "apiKey": {"existingSecret": "immich-admin", "key": "token"}}


def test_the_routers_heal_with_the_key_and_the_front_door_only_looks(render: Render) -> None:
    """The routers know what they could not answer; a front door among them would never let one be the last to stop."""
    release = render({"immich": HEALING, "database": {"existingSecret": "immich-database"}})
    for slug in ("router", "router-2", "front-door"):
        given = variables(release, slug)
        assert given["ROUTER_HEALING__API_KEY"] == {"secretKeyRef": {"name": "immich-admin", "key": "token"}}
        assert given["ROUTER_LISTENERS__PHOTOS__DATABASE__URL"]["secretKeyRef"]["name"] == "immich-database"
        listener = config(release, slug)["listeners"]["photos"]
        assert listener["immich_url"] == "http://immich-server:2283"
        assert listener["enabled"] is (slug == "front-door")
        assert config(release, slug).get("healing", {}).get("enabled", True) is (slug != "front-door")
    assert "ROUTER_HEALING__API_KEY" not in variables(release, "ocr")


def test_without_a_key_nothing_is_healed_and_the_routers_know_no_immich(render: Render) -> None:
    release = render(
        {"immich": {"url": "http://immich-server:2283"}, "database": {"existingSecret": "immich-database"}}
    )
    assert "immich_url" not in config(release)["listeners"]["photos"]
    assert (
        variables(release, "router")
        .keys()
        .isdisjoint({"ROUTER_HEALING__API_KEY", "ROUTER_LISTENERS__PHOTOS__DATABASE__URL"})
    )


def test_metrics_and_logs_are_set(render: Render) -> None:
    found = config(
        render({"logs": {"level": "DEBUG", "format": "pretty"}, "router": {"termination": {"drainSeconds": 44}}})
    )
    assert (found["metrics_host"], found["metrics_port"]) == ("0.0.0.0", 9464)
    assert (found["log_level"], found["log_format"], found["drain_seconds"]) == ("DEBUG", "pretty", 44)


def test_the_file_is_mounted_as_a_folder_so_that_changes_arrive(render: Render) -> None:
    pod = render().find("Deployment", "mesh-immich-mesh-router")["spec"]["template"]["spec"]
    mount = next(one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "config")
    assert "subPath" not in mount
    path = next(one["value"] for one in pod["containers"][0]["env"] if one["name"] == "ROUTER_CONFIG")
    assert path == f"{mount['mountPath']}/router.yaml"
