"""templates/certificate.yaml"""

from tests.helm.conftest import Render

TLS = {
    "enabled": True,
    "certManager": {"enabled": True, "issuerRef": {"name": "ca"}, "duration": "100h", "renewBefore": "10h"},
}


def test_one_certificate_serves_all_names_that_are_called(render: Render) -> None:
    release = render({"tls": TLS})
    spec = release.find("Certificate", "mesh-immich-mesh-tls")["spec"]
    for name in ("ocr", "clip", "face"):
        assert f"mesh-immich-mesh-{name}.immich.svc.cluster.local" in spec["dnsNames"]
    assert "localhost" in spec["dnsNames"]  # health checks within the pod
    assert {"server auth", "client auth"} <= set(spec["usages"])
    assert spec["issuerRef"] == {"name": "ca", "kind": "Issuer", "group": "cert-manager.io"}
    assert (spec["duration"], spec["renewBefore"]) == ("100h", "10h")


def test_its_secret_is_the_one_that_pods_mount(render: Render) -> None:
    release = render({"tls": TLS})
    secret = release.find("Certificate", "mesh-immich-mesh-tls")["spec"]["secretName"]
    for deployment in release.all("Deployment"):
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        assert [one["secret"]["secretName"] for one in volumes if one["name"] == "tls"] == [secret]


def test_a_secret_of_theirs_needs_none(render: Render) -> None:
    assert render({"tls": {"enabled": True, "existingSecret": "theirs"}}).all("Certificate") == []
