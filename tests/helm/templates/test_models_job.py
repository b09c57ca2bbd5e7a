"""templates/models-job.yaml and the init containers of _jobs.tpl: how models come to where they are used."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

from mesh.core.privacy import NO_REPORTS
from tests.helm.cluster.engine import Release
from tests.helm.cluster.store import Object
from tests.helm.conftest import Render

CATALOGUE = Path(__file__).resolve().parents[3] / "mesh" / "hub" / "catalogue.toml"
SHARED = {"persistence": {"accessModes": ["ReadWriteMany"]}}
PULL = ["sh", "-c", 'set -e; for name; do immich-mesh models pull "$name"; done', "pull"]


def before(release: Release, component: str) -> list[Object]:
    """The init containers of a service's pod."""
    deployment = release.find("Deployment", f"mesh-immich-mesh-{component}")
    found: list[Object] = deployment["spec"]["template"]["spec"].get("initContainers", [])
    return found


def pulled(release: Release, component: str) -> list[str]:
    (words,) = [one["args"] for one in before(release, component) if one["name"] == "models"] or [PULL]
    assert words[:4] == PULL
    return list(words[4:])


def jobs(release: Release) -> list[Object]:
    return [one for one in release.all("Job") if "-models-" in one["metadata"]["name"]]


def job_pod(release: Release) -> Object:
    (found,) = jobs(release)
    pod: Object = found["spec"]["template"]["spec"]
    return pod


def shared(**job: Any) -> Object:
    return {"models": {**SHARED, "job": job}}


def catalogue_names() -> set[str]:
    return {one["name"] for one in tomllib.loads(CATALOGUE.read_text())["model"]}


def test_each_pod_fetches_what_its_service_uses(render: Render) -> None:
    """Beside its consumer: a volume that one node alone can mount is made where the first such pod goes."""
    found = {component: pulled(render(), component) for component in ("router", "ocr", "clip", "face")}
    assert found == {"router": [], "ocr": [], "clip": ["ViT-B-16__cn-clip"], "face": ["buffalo_l"]}
    assert {*found["clip"], *found["face"]} <= catalogue_names()
    assert jobs(render()) == []


def test_models_that_nobody_is_configured_to_use_come_with_clips(render: Render) -> None:
    values = {
        "ocr": {"config": {"model_name": "PP-OCRv5_server"}},
        "clip": {"config": {"preload": ["ViT-L-14__cn-clip"]}},
        "models": {"job": {"extraModels": ["buffalo_s", "ViT-L-14__cn-clip"]}},
    }
    assert pulled(render(values), "ocr") == ["PP-OCRv5_server"]
    assert pulled(render(values), "clip") == ["ViT-B-16__cn-clip", "ViT-L-14__cn-clip", "buffalo_s"]
    without = {**values, "clip": {"enabled": False}}
    assert pulled(render(without), "ocr") == ["PP-OCRv5_server", "buffalo_s", "ViT-L-14__cn-clip"]


def test_where_pods_share_the_volume_a_job_fetches_for_all(render: Render) -> None:
    release = render(shared(extraModels=["buffalo_s"]))
    assert job_pod(release)["containers"][0]["args"] == [*PULL, "ViT-B-16__cn-clip", "buffalo_s", "buffalo_l"]
    assert pulled(release, "face") == ["buffalo_l"]


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
    assert [pulled(release, component) for component in ("ocr", "clip")] == [[], ["ViT-B-16__cn-clip"]]


def test_what_fetches_finds_volume_hub_and_token(render: Render) -> None:
    models = {
        **SHARED,
        "mountPath": "/cache",
        "hubEndpoint": "https://hf-mirror.com",
        "hubToken": {"existingSecret": "hub", "key": "reader"},
        "job": {
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "resources": {"limits": {"memory": "9Gi"}},
        },
    }
    release = render({"models": models})
    service = release.find("Deployment", "mesh-immich-mesh-clip")["spec"]["template"]["spec"]
    claim = {"name": "models", "persistentVolumeClaim": {"claimName": "mesh-immich-mesh-models"}}
    for pod, container in (
        (service, service["initContainers"][0]),
        (job_pod(release), job_pod(release)["containers"][0]),
    ):
        given = {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}
        assert given.items() >= NO_REPORTS.items()
        assert (given["MESH_CACHE_FOLDER"], given["HF_ENDPOINT"]) == ("/cache", "https://hf-mirror.com")
        assert given["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "reader"}}
        assert given["HTTPS_PROXY"] == "http://proxy:3128"
        assert container["resources"]["limits"]["memory"] == "9Gi"
        assert {"name": "models", "mountPath": "/cache"} in container["volumeMounts"]
        assert claim in pod["volumes"]
        assert pod["securityContext"]["fsGroup"] == 65532


def test_the_job_goes_where_the_pods_go(render: Render) -> None:
    values = {"defaults": {"nodeSelector": {"gpu": "yes"}, "tolerations": [{"operator": "Exists"}]}, **shared()}
    assert job_pod(render(values))["nodeSelector"] == {"gpu": "yes"}
    assert job_pod(render(values))["tolerations"] == [{"operator": "Exists"}]
    own = {**values, **shared(nodeSelector={"disk": "big"}, tolerations=[{"key": "a", "operator": "Exists"}])}
    assert job_pod(render(own))["nodeSelector"] == {"disk": "big"}
    assert job_pod(render(own))["tolerations"] == [{"key": "a", "operator": "Exists"}]


def test_the_jobs_limits_and_annotations_are_the_users(render: Render) -> None:
    values = shared(activeDeadlineSeconds=60, backoffLimit=7, ttlSecondsAfterFinished=9, annotations={"a": "b"})
    (found,) = jobs(render(values))
    spec = found["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (60, 7, 9)
    assert found["metadata"]["annotations"]["a"] == "b"
    assert found["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "Sync"


def test_the_jobs_name_changes_with_what_it_fetches(render: Render) -> None:
    names = [jobs(render(values))[0]["metadata"]["name"] for values in (shared(), shared(extraModels=["buffalo_s"]))]
    assert names[0] != names[1]


def test_checkpoints_are_converted_before_clip_starts_and_once(render: Render, tmp_path: Path) -> None:
    release = render({"models": {"job": {"export": ["cn-clip/RN50"], "exportImage": {"tag": "9"}}}})
    first, second = before(release, "clip")
    assert [first["name"], second["name"]] == ["export-0", "models"]
    assert first["image"] == "immich-mesh-export:9"
    assert before(release, "face")[0]["name"] == "models"
    program = tmp_path / "immich-mesh"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "MESH_CACHE_FOLDER": str(tmp_path)}

    def output() -> str:
        return subprocess.run(first["args"], env=environment, check=True, capture_output=True, text=True).stdout

    assert output() == "models export cn-clip/RN50\n"
    for tower in ("visual", "textual"):
        folder = tmp_path / "clip" / "RN50__cn-clip" / tower
        folder.mkdir(parents=True)
        (folder / "model.onnx").touch()
    assert output() == ""


def test_nothing_is_fetched_where_nothing_is_to_be_fetched(render: Render) -> None:
    for models in ({"source": "emptyDir"}, {"source": "image"}, {"offline": True}, {"job": {"enabled": False}}):
        release = render({"models": {**SHARED, **models}})
        assert jobs(release) == []
        assert before(release, "clip") == []
    assert jobs(render({**shared(), "clip": {"enabled": False}, "face": {"enabled": False}})) == []
