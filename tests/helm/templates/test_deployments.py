"""templates/deployments.yaml with _pod.tpl and _environment.tpl: every key of a component does what it says."""

from typing import Any

import pytest
import yaml

from mesh.core.privacy import NO_REPORTS
from tests.helm.cluster.engine import Release
from tests.helm.cluster.mesh import merged
from tests.helm.cluster.store import Object
from tests.helm.conftest import CHART, Render

COMPONENTS = ("router", "frontDoor", "ocr", "clip", "face")
SLUGS = {"frontDoor": "front-door"}
MODULES = {
    "router": "router",
    "frontDoor": "router",
    "ocr": "ocr_service",
    "clip": "clip_service",
    "face": "face_service",
}
DOOR = {"immich": {"url": "http://immich-server:2283"}}


def deployment(release: Release, component: str) -> Object:
    return release.find("Deployment", f"mesh-immich-mesh-{SLUGS.get(component, component)}")


def pod(release: Release, component: str) -> Object:
    return deployment(release, component)["spec"]["template"]["spec"]


def container(release: Release, component: str) -> Object:
    return pod(release, component)["containers"][0]


def environment(release: Release, component: str) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(release, component)["env"]}


def test_there_is_no_front_door_without_an_immich(render: Render) -> None:
    names = {one["metadata"]["name"] for one in render().all("Deployment")}
    assert names == {f"mesh-immich-mesh-{name}" for name in ("router", "router-2", "ocr", "clip", "face")}


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_runs_its_module_as_the_image_does(component: str, render: Render) -> None:
    release = render({**DOOR, component: {"extraArgs": ["--more"]}})
    found = container(release, component)
    assert "command" not in found
    assert found["args"] == ["python", "-m", MODULES[component], "--more"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_library_in_a_component_reports_to_its_maker(component: str, render: Render) -> None:
    assert environment(render(DOOR), component).items() >= NO_REPORTS.items()


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_that_is_off_leaves_nothing_behind(component: str, render: Render) -> None:
    values = {**DOOR, component: {"enabled": False}, "monitoring": {"serviceMonitor": {"enabled": True}}}
    left = [
        one["kind"]
        for one in render(values).manifests
        if one["metadata"]["name"].endswith(f"-{SLUGS.get(component, component)}")
    ]
    assert left == []


POD_KEYS = {
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "priorityClassName": "high",
    "schedulerName": "theirs",
    "hostUsers": False,
    "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["proxy"]}],
    "dnsConfig": {"nameservers": ["10.0.0.8"]},
    "podSecurityContext": {"supplementalGroups": [7]},
}


@pytest.mark.parametrize("component", COMPONENTS)
def test_what_a_pod_takes_is_passed_on(component: str, render: Render) -> None:
    more = {
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraContainers": [{"name": "beside", "image": "a:1"}],
        "extraInitContainers": [{"name": "before", "image": "b:1"}],
        "podAnnotations": {"c": "d"},
        "podLabels": {"e": "f"},
    }
    release = render({**DOOR, component: POD_KEYS | more})
    found = pod(release, component)
    for key in POD_KEYS.keys() - {"podSecurityContext", "dnsConfig"}:
        assert found[key] == POD_KEYS[key]
    assert found["dnsConfig"]["nameservers"] == ["10.0.0.8"]
    assert found["securityContext"]["supplementalGroups"] == [7]
    assert found["securityContext"]["runAsNonRoot"] is True
    assert more["extraVolumes"][0] in found["volumes"]
    assert found["containers"][1:] == more["extraContainers"]
    assert found["initContainers"][:1] == more["extraInitContainers"]
    template = deployment(release, component)["spec"]["template"]["metadata"]
    assert template["annotations"] == {"c": "d"}
    assert template["labels"]["e"] == "f"


@pytest.mark.parametrize("component", COMPONENTS)
def test_what_a_container_takes_is_passed_on(component: str, render: Render) -> None:
    given = {
        "resources": {"requests": {"cpu": "7"}},
        "extraEnvFrom": [{"secretRef": {"name": "more"}}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "env": [{"name": "MORE", "value": "x"}],
        "securityContext": {"privileged": False},
    }
    found = container(render({**DOOR, component: given}), component)
    assert found["resources"]["requests"]["cpu"] == "7"
    assert found["envFrom"] == given["extraEnvFrom"]
    assert given["extraVolumeMounts"][0] in found["volumeMounts"]
    assert given["env"][0] in found["env"]
    assert found["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
    }


def test_defaults_reach_every_component_and_lose_to_its_own(render: Render) -> None:
    release = render({**DOOR, "defaults": {"priorityClassName": "low"}, "clip": {"priorityClassName": "high"}})
    found = {component: pod(release, component)["priorityClassName"] for component in COMPONENTS}
    assert found == {"router": "low", "frontDoor": "low", "ocr": "low", "clip": "high", "face": "low"}


def test_false_and_zero_win_over_the_defaults(render: Render) -> None:
    release = render({
        "defaults": {"podDisruptionBudget": {"enabled": True}},
        "ocr": {"podDisruptionBudget": {"enabled": False}, "replicaCount": 0, "termination": {"preStopSeconds": 0}},
    })  # fmt: skip
    assert deployment(release, "ocr")["spec"]["replicas"] == 0
    assert "lifecycle" not in container(release, "ocr")
    budgets = {one["metadata"]["name"] for one in release.all("PodDisruptionBudget")}
    assert budgets == {f"mesh-immich-mesh-{name}" for name in ("router", "clip", "face")}


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_pod_has_no_rights_and_no_service_links(component: str, render: Render) -> None:
    found = pod(render(DOOR), component)
    assert found["automountServiceAccountToken"] is False
    assert found["enableServiceLinks"] is False
    assert found["securityContext"]["runAsUser"] == 65532
    assert container(render(DOOR), component)["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_grace_period_covers_pre_stop_and_drain(component: str, render: Render) -> None:
    release = render({**DOOR, component: {"termination": {"preStopSeconds": 7, "drainSeconds": 100}}})
    assert pod(release, component)["terminationGracePeriodSeconds"] == 117
    stop = container(release, component)["lifecycle"]["preStop"]["exec"]["command"]
    if component in ("router", "frontDoor"):
        assert stop[0] == "sh"
        assert "http://127.0.0.1:9901/drain" in stop[3]
        assert [int(word) for word in stop[4:]] == [3, 4]
    else:
        assert stop == ["sleep", "7"]
        assert environment(release, component)[f"{component.upper()}_DRAIN_SECONDS"] == "100"


@pytest.mark.parametrize("component", ["ocr", "clip", "face"])
def test_services_have_native_grpc_probes(component: str, render: Render) -> None:
    found = container(render(), component)
    own = f"immich_mesh.{component}.v1.{component.capitalize()}Service"
    port = {"ocr": 50051, "clip": 50052, "face": 50053}[component]
    assert found["readinessProbe"]["grpc"] == {"port": port, "service": own}
    assert found["startupProbe"]["grpc"] == {"port": port, "service": own}
    assert found["livenessProbe"]["grpc"] == {"port": port, "service": "immich_mesh.model.v1.ModelService"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_readiness_is_not_liveness(component: str, render: Render) -> None:
    found = container(render(DOOR), component)
    assert found["readinessProbe"] != found["livenessProbe"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert found[probe]["periodSeconds"] >= 5


def test_the_startup_probe_leaves_time_for_a_download_and_the_rollout_does_too(render: Render) -> None:
    release = render(
        {"clip": {"probes": {"startup": {"periodSeconds": 10, "failureThreshold": 300, "timeoutSeconds": 3}}}}
    )
    probe = container(release, "clip")["startupProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"], probe["timeoutSeconds"]) == (10, 300, 3)
    assert deployment(release, "clip")["spec"]["progressDeadlineSeconds"] > 3000


def test_settings_become_variables(render: Render) -> None:
    config = {"batching": {"max_batch_size": 16, "max_queue_delay_ms": 1.5}, "preload": ["a", "b"], "lazy": True}
    found = environment(render({"ocr": {"config": config}}), "ocr")
    assert found["OCR_BATCHING__MAX_BATCH_SIZE"] == "16"
    assert found["OCR_BATCHING__MAX_QUEUE_DELAY_MS"] == "1.5"
    assert found["OCR_PRELOAD"] == "a,b"
    assert found["OCR_LAZY"] == "true"
    assert found["OCR_MODEL_NAME"] == "PP-OCRv6_small"


def test_large_numbers_stay_whole(render: Render) -> None:
    found = environment(render({"ocr": {"config": {"memory_budget_bytes": 8_589_934_592}}}), "ocr")
    assert found["OCR_MEMORY_BUDGET_BYTES"] == "8589934592"


def test_their_variable_wins_over_ours(render: Render) -> None:
    release = render({"ocr": {"env": [{"name": "OCR_LOG_LEVEL", "value": "DEBUG"}]}})
    assert [one for one in container(release, "ocr")["env"] if one["name"] == "OCR_LOG_LEVEL"] == [
        {"name": "OCR_LOG_LEVEL", "value": "DEBUG"}
    ]


def test_what_the_chart_gives_reaches_the_process(render: Render) -> None:
    found = environment(render({
        "listenAddress": "::",
        "logs": {"level": "DEBUG", "format": "pretty"},
        "tracing": {"otlpEndpoint": "http://otel:4317"},
        "auth": {"existingSecret": "mesh", "key": "bearer"},
        "models": {"offline": True, "hubEndpoint": "https://hf-mirror.com", "mountPath": "/cache"},
    }), "face")  # fmt: skip
    assert found["FACE_HOST"] == "::"
    assert found["FACE_METRICS_HOST"] == "::"
    assert (found["FACE_LOG_LEVEL"], found["FACE_LOG_FORMAT"]) == ("DEBUG", "pretty")
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel:4317"
    assert (found["FACE_OFFLINE"], found["FACE_HF_ENDPOINT"], found["FACE_CACHE_FOLDER"]) == (
        "true",
        "https://hf-mirror.com",
        "/cache",
    )


def test_models_are_where_the_values_say(render: Render) -> None:
    def volume(values: Object) -> Object:
        return next((one for one in pod(render(values), "clip")["volumes"] if one["name"] == "models"), {})

    assert volume({})["persistentVolumeClaim"] == {"claimName": "mesh-immich-mesh-models"}
    claim = {"models": {"persistence": {"existingClaim": "immich-ml-cache"}}}
    assert volume(claim)["persistentVolumeClaim"] == {"claimName": "immich-ml-cache"}
    assert volume({"models": {"source": "emptyDir"}})["emptyDir"] == {"sizeLimit": "8Gi"}
    assert volume({"models": {"source": "image"}}) == {}
    assert environment(render({"models": {"source": "image"}}), "clip")["CLIP_OFFLINE"] == "true"


def test_images_are_named_by_registry_tag_variant_and_digest(render: Render) -> None:
    release = render({
        "image": {"registry": "registry.example.com/photos/", "tag": "7", "pullPolicy": "Always",
                  "pullSecrets": [{"name": "s"}]},
        "clip": {"gpu": {"enabled": True}},
        "face": {"image": {"repository": "mine", "tag": "8", "pullPolicy": "Never"}},
        "ocr": {"image": {"digest": f"sha256:{'0' * 64}"}},
    })  # fmt: skip
    assert container(release, "router")["image"] == "registry.example.com/photos/immich-mesh-router:7"
    assert container(release, "clip")["image"] == "registry.example.com/photos/immich-mesh-clip:7-cuda"
    assert container(release, "face")["image"] == "registry.example.com/photos/mine:8"
    assert container(release, "ocr")["image"] == f"registry.example.com/photos/immich-mesh-ocr@sha256:{'0' * 64}"
    assert container(release, "router")["imagePullPolicy"] == "Always"
    assert container(release, "face")["imagePullPolicy"] == "Never"
    assert pod(release, "ocr")["imagePullSecrets"] == [{"name": "s"}]
    assert container(render(), "ocr")["image"] == "immich-mesh-ocr:0.1.0"


def test_a_gpu_is_asked_for_handed_on_and_limited(render: Render) -> None:
    gpu = {
        "enabled": True,
        "resourceName": "nvidia.com/gpu.shared",
        "sharing": "time-slicing",
        "runtimeClassName": "nvidia",
    }
    release = render({"clip": {"gpu": {**gpu, "memoryLimit": "3Gi"}}})
    found = container(release, "clip")
    assert found["resources"]["limits"]["nvidia.com/gpu.shared"] == "1"
    assert found["resources"]["requests"]["nvidia.com/gpu.shared"] == "1"
    assert found["resources"]["limits"]["memory"] == "6Gi"
    assert pod(release, "clip")["runtimeClassName"] == "nvidia"
    assert environment(release, "clip")["CLIP_DEVICE"] == "cuda"
    assert environment(release, "clip")["CLIP_GPU_MEMORY_LIMIT_BYTES"] == str(3 * 2**30)
    assert environment(release, "ocr")["OCR_DEVICE"] == "auto"
    assert "OCR_GPU_MEMORY_LIMIT_BYTES" not in environment(release, "ocr")


@pytest.mark.parametrize(
    ("size", "amount"), [("512Mi", 512 * 2**20), ("2G", 2 * 10**9), ("1073741824", 2**30), ("1Ti", 2**40)]
)
def test_memory_is_handed_on_in_bytes(size: str, amount: int, render: Render) -> None:
    found = environment(render({"clip": {"gpu": {"enabled": True, "memoryLimit": size}}}), "clip")
    assert found["CLIP_GPU_MEMORY_LIMIT_BYTES"] == str(amount)


@pytest.mark.parametrize(("cards", "limit", "batch"), [([], 3, "4"), (["cards/12gib.yaml"], 5, "8")])
def test_a_larger_card_is_told_after_the_preset(cards: list[str], limit: int, batch: str, render: Render) -> None:
    values: Object = {}
    for file in ["values-single-gpu.yaml", *cards]:
        values = merged(values, yaml.safe_load((CHART / file).read_text()))
    found = environment(render(values), "ocr")
    assert found["OCR_GPU_MEMORY_LIMIT_BYTES"] == str(limit * 2**30)
    assert found["OCR_BATCHING__MAX_BATCH_SIZE"] == batch


def test_every_card_of_the_node_needs_no_device_plugin(render: Render) -> None:
    gpu = {"enabled": True, "count": 0, "sharing": "time-slicing", "memoryLimit": "2Gi"}
    release = render({"clip": {"gpu": gpu}})
    assert not [name for name in container(release, "clip")["resources"]["limits"] if "/" in name]
    assert environment(release, "clip")["NVIDIA_VISIBLE_DEVICES"] == "all"


def test_a_pod_with_a_card_of_its_own_is_replaced_old_one_first(render: Render) -> None:
    gpu = {"enabled": True}
    rolling = {
        "exclusive": deployment(render({"clip": {"gpu": gpu}}), "clip"),
        "mps": deployment(render({"clip": {"gpu": {**gpu, "sharing": "mps", "memoryLimit": "1Gi"}}}), "clip"),
        "uncounted": deployment(
            render({"clip": {"gpu": {**gpu, "count": 0, "sharing": "time-slicing", "memoryLimit": "1Gi"}}}), "clip"
        ),
        "none": deployment(render(), "clip"),
        "theirs": deployment(render({"clip": {"gpu": gpu, "strategy": {"type": "Recreate"}}}), "clip"),
    }
    old_first, new_first = {"maxSurge": 0, "maxUnavailable": 1}, {"maxSurge": 1, "maxUnavailable": 0}
    assert rolling["exclusive"]["spec"]["strategy"]["rollingUpdate"] == old_first
    assert rolling["mps"]["spec"]["strategy"]["rollingUpdate"] == old_first  # as many shares as pods
    assert rolling["uncounted"]["spec"]["strategy"]["rollingUpdate"] == new_first
    assert rolling["none"]["spec"]["strategy"]["rollingUpdate"] == new_first
    assert rolling["theirs"]["spec"]["strategy"] == {"type": "Recreate"}


def test_tls_mounts_the_secret_and_configures_servers(render: Render) -> None:
    release = render({"tls": {"enabled": True, "existingSecret": "mesh-tls"}})
    secret = next(one for one in pod(release, "ocr")["volumes"] if one["name"] == "tls")["secret"]
    assert secret == {"secretName": "mesh-tls", "defaultMode": 0o440}
    assert {"name": "tls", "mountPath": "/etc/immich-mesh/tls", "readOnly": True} in container(release, "ocr")[
        "volumeMounts"
    ]
    found = environment(release, "ocr")
    assert found["OCR_TLS__CERT_FILE"] == "/etc/immich-mesh/tls/tls.crt"
    assert found["OCR_TLS__CA_FILE"] == "/etc/immich-mesh/tls/ca.crt"
    one_sided = render({"tls": {"enabled": True, "existingSecret": "mesh-tls", "mutual": False}})
    assert "OCR_TLS__CA_FILE" not in environment(one_sided, "ocr")


def test_with_tls_the_image_asks_instead_of_the_kubelet(render: Render) -> None:
    found = container(render({"tls": {"enabled": True, "existingSecret": "mesh-tls"}}), "face")
    ask = ["python", "-m", "mesh.core.healthcheck", "50053"]
    assert found["readinessProbe"]["exec"]["command"] == [*ask, "immich_mesh.face.v1.FaceService"]
    assert found["livenessProbe"]["exec"]["command"] == [*ask, "immich_mesh.model.v1.ModelService"]


def test_the_front_door_gets_the_database_by_secret(render: Render) -> None:
    release = render({**DOOR, "database": {"existingSecret": "immich-db", "key": "uri"}})
    name = "ROUTER_LISTENERS__PHOTOS__DATABASE__URL"
    assert environment(release, "frontDoor")[name] == {"secretKeyRef": {"name": "immich-db", "key": "uri"}}
    assert name not in environment(release, "router")


def test_replicas_are_left_to_whoever_sets_them(render: Render) -> None:
    release = render({"defaults": {"replicaCount": None}, "clip": {"replicaCount": 2}})
    assert "replicas" not in deployment(release, "ocr")["spec"]
    assert deployment(release, "clip")["spec"]["replicas"] == 2
    assert "replicas" not in deployment(render({"ocr": {"replicaCount": None}}), "ocr")["spec"]


def test_replicas_are_left_to_the_autoscaler(render: Render) -> None:
    assert "replicas" not in deployment(render({"ocr": {"autoscaling": {"enabled": True}}}), "ocr")["spec"]
    assert deployment(render({"ocr": {"replicaCount": 4}}), "ocr")["spec"]["replicas"] == 4


def test_spread_finds_the_components_own_pods(render: Render) -> None:
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    release = render({"clip": {"topologySpreadConstraints": [spread]}})
    (found,) = pod(release, "clip")["topologySpreadConstraints"]
    labels = deployment(release, "clip")["spec"]["template"]["metadata"]["labels"]
    assert found == {
        **spread,
        "labelSelector": {"matchLabels": deployment(release, "clip")["spec"]["selector"]["matchLabels"]},
    }
    assert found["labelSelector"]["matchLabels"].items() <= labels.items()


def test_a_new_chart_version_alone_restarts_nothing(render: Render) -> None:
    labels = deployment(render(), "ocr")["spec"]["template"]["metadata"]["labels"]
    assert not {"helm.sh/chart", "app.kubernetes.io/version"} & labels.keys()


def test_old_replica_sets_are_kept_as_asked(render: Render) -> None:
    assert deployment(render({"ocr": {"revisionHistoryLimit": 9}}), "ocr")["spec"]["revisionHistoryLimit"] == 9


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_token_is_a_file_that_may_change(component: str, render: Render) -> None:
    release = render({**DOOR, "auth": {"existingSecret": "mesh", "key": "bearer"}})
    volume = next(one for one in pod(release, component)["volumes"] if one["name"] == "auth")
    items = [{"key": "bearer", "path": "token"}]
    assert volume["secret"] == {"secretName": "mesh", "defaultMode": 0o440, "items": items}
    (mount,) = [one for one in container(release, component)["volumeMounts"] if one["name"] == "auth"]
    assert "subPath" not in mount  # such a file would never be written again
    assert environment(release, component)["MESH_AUTH_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    assert "MESH_AUTH_TOKEN" not in environment(release, component)


@pytest.mark.parametrize(
    ("limit", "budget"), [("2Gi", 2**29), ("1.5Gi", 3 * 2**27), ("4G", 10**9), (8_589_934_592, 2**31)]
)
def test_photos_get_a_quarter_of_the_containers_memory(limit: Any, budget: int, render: Render) -> None:
    release = render({"ocr": {"resources": {"limits": {"memory": limit}}}})
    assert environment(release, "ocr")["OCR_PHOTO_MEMORY_BYTES"] == str(budget)
    own = render({"ocr": {"resources": {"limits": {"memory": limit}}, "config": {"photo_memory_bytes": 7_000_000}}})
    assert environment(own, "ocr")["OCR_PHOTO_MEMORY_BYTES"] == "7000000"
    unlimited = render({"ocr": {"resources": {"limits": {"memory": None}}}})
    assert "OCR_PHOTO_MEMORY_BYTES" not in environment(unlimited, "ocr")


@pytest.mark.parametrize(
    ("values", "device", "image"),
    [
        ({}, "auto", "immich-mesh-ocr:0.1.0"),
        ({"device": "openvino"}, "openvino", "immich-mesh-ocr:0.1.0"),
        ({"gpu": {"enabled": True}}, "cuda", "immich-mesh-ocr:0.1.0-cuda"),
        (
            {"device": "openvino:GPU", "gpu": {"enabled": True, "resourceName": "gpu.intel.com/i915"}},
            "openvino:GPU",
            "immich-mesh-ocr:0.1.0-intel",
        ),
    ],
)
def test_the_device_decides_on_the_image(values: Object, device: str, image: str, render: Render) -> None:
    release = render({"ocr": values})
    assert environment(release, "ocr")["OCR_DEVICE"] == device
    assert container(release, "ocr")["image"] == image


def test_intels_gpu_is_asked_for_by_its_own_name(render: Render) -> None:
    gpu = {"enabled": True, "resourceName": "gpu.intel.com/i915", "count": 1}
    release = render(
        {"ocr": {"device": "openvino:GPU", "gpu": gpu, "podSecurityContext": {"supplementalGroups": [992]}}}
    )
    assert container(release, "ocr")["resources"]["limits"]["gpu.intel.com/i915"] == "1"
    assert pod(release, "ocr")["securityContext"]["supplementalGroups"] == [992]
    assert "NVIDIA_VISIBLE_DEVICES" not in environment(release, "ocr")


def test_a_full_name_is_asked_for_as_it_is(render: Render) -> None:
    assert pod(render(), "router")["dnsConfig"] == {"options": [{"name": "ndots", "value": "1"}]}


def test_annotations_of_all_objects_are_not_the_pods(render: Render) -> None:
    release = render({"commonAnnotations": {"a": "b"}, "ocr": {"deploymentAnnotations": {"c": "d"}}})
    assert deployment(release, "ocr")["metadata"]["annotations"] == {"a": "b", "c": "d"}
    assert "annotations" not in deployment(release, "ocr")["spec"]["template"]["metadata"]
    without = [one["kind"] for one in release.manifests if one["metadata"].get("annotations", {}).get("a") != "b"]
    assert without == []


def test_a_parent_charts_registry_and_secrets_hold_here_too(render: Render) -> None:
    parent = {"global": {"imageRegistry": "mirror.example.com", "imagePullSecrets": ["a", {"name": "b"}]}}
    release = render({**parent, "image": {"pullSecrets": [{"name": "b"}, {"name": "c"}]}})
    assert container(release, "ocr")["image"] == "mirror.example.com/immich-mesh-ocr:0.1.0"
    assert {one["name"] for one in pod(release, "ocr")["imagePullSecrets"]} == {"a", "b", "c"}
    own = render({**parent, "image": {"registry": "own.example.com"}})
    assert container(own, "ocr")["image"] == "own.example.com/immich-mesh-ocr:0.1.0"
