"""templates/NOTES.txt: what a person reads after `helm install`."""

from tests.helm.conftest import Render


def test_they_say_the_url_for_immich_and_how_to_check(render: Render) -> None:
    notes = render().notes
    assert "http://mesh-immich-mesh-router.immich.svc.cluster.local:3003\n" in notes
    assert "http://mesh-immich-mesh-router-2.immich.svc.cluster.local:3003\n" in notes
    assert "Add URL" in notes
    assert "helm test mesh -n immich" in notes
    assert "port-forward deploy/mesh-immich-mesh-router 9901" in notes


def test_they_warn_of_what_is_missing(render: Render) -> None:
    notes = render({"face": {"enabled": False}, "immich": {"url": "http://immich:2283"}}).notes
    assert "face is not installed" in notes
    assert "router.config.immich_api" in notes
    assert "Without database.existingSecret" in notes
    assert "Without immich.apiKey.existingSecret, photos that Immich dropped" in notes
    assert "Nothing sends browsers there yet" in notes
    assert "all model pods must fit on one node" in notes


def test_a_release_that_needs_no_warning_has_none(render: Render) -> None:
    notes = render({"models": {"persistence": {"accessModes": ["ReadWriteMany"]}}}).notes
    assert "NOTE" not in notes


def test_who_scales_by_requests_is_told_who_must_read_them(render: Render) -> None:
    scaling = {"ocr": {"autoscaling": {"enabled": True, "targetOutstandingRequests": 4}}}
    assert "NOTE: ocr scales by requests that the routers tell Prometheus of." in render(scaling).notes
    read = {**scaling, "monitoring": {"serviceMonitor": {"enabled": True}}}
    assert "scales by requests" not in render(read).notes


def test_a_limit_of_a_cards_memory_goes_with_a_batch_that_fits(render: Render) -> None:
    gpu = {"enabled": True, "memoryLimit": "2Gi"}
    assert "Set\nocr.config.batching.max_batch_size" in render({"ocr": {"gpu": gpu}}).notes
    fitting = {"ocr": {"gpu": gpu, "config": {"batching": {"max_batch_size": 2}}}}
    assert "max_batch_size" not in render(fitting).notes


def test_a_permissive_release_says_how_it_is_closed(render: Render) -> None:
    tls = {"enabled": True, "existingSecret": "mesh-tls"}
    assert "until you upgrade with tls.mode=strict" in render({"tls": {**tls, "mode": "permissive"}}).notes
    assert "permissive" not in render({"tls": tls}).notes


def test_one_router_alone_is_told_what_it_loses(render: Render) -> None:
    notes = render({"secondRouter": {"enabled": False}}).notes
    assert "router-2" not in notes
    assert "Add URL" not in notes
    assert "See secondRouter.enabled" in notes


def test_the_ports_on_the_nodes_are_told(render: Render) -> None:
    office = {"externalClients": ["192.168.0.0/16"]}
    ports = {"router": {"service": {"type": "NodePort", "nodePort": 30303}}, "networkPolicy": office}
    notes = render(ports).notes
    assert "http://<any node>:30303\n" in notes
    assert "http://<any node>:<node port of Service mesh-immich-mesh-router-2>\n" in notes
    assert "http://<any node>:30304\n" in render({**ports, "secondRouter": {"service": {"nodePort": 30304}}}).notes
