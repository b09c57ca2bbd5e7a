"""templates/models-job.yaml"""

import tomllib
from pathlib import Path
from typing import Any

from mesh.core.privacy import NO_REPORTS
from tests.helm.conftest import Render

CATALOGUE = Path(__file__).resolve().parents[3] / "mesh" / "hub" / "catalogue.toml"


def job_pod(release: Any) -> dict[str, Any]:
    pod: dict[str, Any] = release.find("Job", "mesh-immich-mesh-models")["spec"]["template"]["spec"]
    return pod


def pulled(release: Any) -> list[str]:
    words: list[str] = job_pod(release)["containers"][0]["args"]
    assert words[:4] == ["sh", "-c", 'set -e; for name; do immich-mesh models pull "$name"; done', "pull"]
    return words[4:]


def test_it_pulls_what_the_services_use(render: Render) -> None:
    assert pulled(render()) == ["ViT-B-16__cn-clip", "buffalo_l"]
    values = {
        "ocr": {"config": {"model_name": "PP-OCRv5_server"}},
        "clip": {"config": {"preload": ["ViT-L-14__cn-clip"]}},
        "face": {"enabled": False},
        "models": {"job": {"extraModels": ["buffalo_s", "ViT-L-14__cn-clip"]}},
    }
    assert pulled(render(values)) == ["PP-OCRv5_server", "ViT-B-16__cn-clip", "ViT-L-14__cn-clip", "buffalo_s"]


def test_models_inside_an_image_are_not_pulled(render: Render) -> None:
    found = tomllib.loads(CATALOGUE.read_text())["model"]
    bundled = {
        name
        for one in found
        if "package" in {source["kind"] for source in one.get("source", ())}
        for name in (one["name"], *one.get("aliases", ()))
    }
    assert "PP-OCRv6_small" in bundled
    release = render({"models": {"job": {"extraModels": sorted(bundled)}}})
    assert pulled(release) == ["ViT-B-16__cn-clip", "buffalo_l"]


def test_every_model_that_the_defaults_name_is_in_the_catalogue(render: Render) -> None:
    names = {one["name"] for one in tomllib.loads(CATALOGUE.read_text())["model"]}
    assert set(pulled(render())) <= names


def test_no_library_that_converts_reports_to_its_maker(render: Render) -> None:
    for container in job_pod(render())["containers"]:
        assert {one["name"]: one["value"] for one in container["env"]}.items() >= NO_REPORTS.items()


def test_it_writes_to_the_volume_that_the_services_read(render: Render) -> None:
    release = render({"models": {"mountPath": "/cache", "hubEndpoint": "https://hf-mirror.com"}})
    pod = job_pod(release)
    container = pod["containers"][0]
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert environment["MESH_CACHE_FOLDER"] == "/cache"
    assert environment["HF_ENDPOINT"] == "https://hf-mirror.com"
    claim = {"name": "models", "persistentVolumeClaim": {"claimName": "mesh-immich-mesh-models"}}
    assert claim in pod["volumes"]
    assert {"name": "models", "mountPath": "/cache"} in container["volumeMounts"]
    service = release.find("Deployment", "mesh-immich-mesh-clip")["spec"]["template"]["spec"]
    assert claim in service["volumes"]
    assert pod["securityContext"]["fsGroup"] == service["securityContext"]["fsGroup"]


def test_it_goes_where_the_pods_go(render: Render) -> None:
    values = {"defaults": {"nodeSelector": {"gpu": "yes"}, "tolerations": [{"operator": "Exists"}]}}
    assert job_pod(render(values))["nodeSelector"] == {"gpu": "yes"}
    assert job_pod(render(values))["tolerations"] == [{"operator": "Exists"}]
    own = {
        **values,
        "models": {"job": {"nodeSelector": {"disk": "big"}, "tolerations": [{"key": "a", "operator": "Exists"}]}},
    }
    assert job_pod(render(own))["nodeSelector"] == {"disk": "big"}
    assert job_pod(render(own))["tolerations"] == [{"key": "a", "operator": "Exists"}]


def test_checkpoints_are_converted_before(render: Render) -> None:
    release = render({"models": {"job": {"export": ["cn-clip/RN50"], "exportImage": {"tag": "9"}}}})
    (first,) = job_pod(release)["initContainers"]
    assert first["image"] == "immich-mesh-export:9"
    assert first["args"] == ["immich-mesh", "models", "export", "cn-clip/RN50"]
    assert first["volumeMounts"] == job_pod(release)["containers"][0]["volumeMounts"]


def test_limits_are_the_users(render: Render) -> None:
    values = {"activeDeadlineSeconds": 60, "backoffLimit": 7, "resources": {"limits": {"memory": "9Gi"}}}
    spec = render({"models": {"job": values}}).find("Job", "mesh-immich-mesh-models")["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (60, 7)
    assert spec["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "9Gi"


def test_there_is_none_when_there_is_nothing_to_fetch(render: Render) -> None:
    for models in ({"source": "emptyDir"}, {"source": "image"}, {"offline": True}, {"job": {"enabled": False}}):
        assert render({"models": models}).all("Job") == []
    assert render({"clip": {"enabled": False}, "face": {"enabled": False}}).all("Job") == []
