"""templates/services.yaml"""

import pytest

from tests.helm.conftest import Render

OFFICE = {"networkPolicy": {"externalClients": ["192.168.0.0/16"]}}


@pytest.mark.parametrize(("component", "port"), [("ocr", 50051), ("clip", 50052), ("face", 50053)])
def test_services_are_headless_so_that_the_router_sees_every_pod(component: str, port: int, render: Render) -> None:
    spec = render().find("Service", f"mesh-immich-mesh-{component}")["spec"]
    assert spec["clusterIP"] == "None"
    ports = {one["name"]: (one["port"], one["targetPort"]) for one in spec["ports"]}
    assert ports == {"grpc": (port, "grpc"), "metrics": (9464, "metrics")}


def test_a_service_selects_exactly_its_pods(render: Render) -> None:
    release = render({"immich": {"url": "http://immich:2283"}})
    for service in release.all("Service"):
        selector = service["spec"]["selector"]
        chosen = [
            one["metadata"]["name"]
            for one in release.all("Deployment")
            if selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert chosen == [service["metadata"]["name"]]


def test_every_port_of_a_service_leads_to_one_of_its_pods(render: Render) -> None:
    release = render({"immich": {"url": "http://immich:2283"}})
    for service in release.all("Service"):
        pod = release.find("Deployment", service["metadata"]["name"])["spec"]["template"]["spec"]
        offered = {port["name"] for port in pod["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} == offered


def test_the_router_can_be_published(render: Render) -> None:
    values = {"router": {"service": {"type": "NodePort", "nodePort": 30303, "annotations": {"a": "b"}}}, **OFFICE}
    service = render(values).find("Service", "mesh-immich-mesh-router")
    assert service["spec"]["type"] == "NodePort"
    assert service["spec"]["ports"][0] == {
        "name": "immich-ml",
        "port": 3003,
        "targetPort": "immich-ml",
        "protocol": "TCP",
        "nodePort": 30303,
    }
    assert all("nodePort" not in port for port in service["spec"]["ports"][1:])
    assert service["metadata"]["annotations"] == {"a": "b"}


def test_the_admin_port_is_on_no_service(render: Render) -> None:
    release = render({"immich": {"url": "http://immich:2283"}})
    assert 9901 not in {port["port"] for service in release.all("Service") for port in service["spec"]["ports"]}


def test_a_load_balancer_is_chosen_and_keeps_the_callers_address(render: Render) -> None:
    given = {
        "type": "LoadBalancer",
        "loadBalancerClass": "example.com/l4",
        "externalTrafficPolicy": "Local",
        "ipFamilyPolicy": "PreferDualStack",
    }
    spec = render({"router": {"service": given}, **OFFICE}).find("Service", "mesh-immich-mesh-router-2")["spec"]
    assert {name: spec[name] for name in given} == given
    assert not given.keys() & render().find("Service", "mesh-immich-mesh-router")["spec"].keys() - {"type"}
