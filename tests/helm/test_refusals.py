"""What the chart refuses: unknown keys, wrong types, and combinations that cannot work, each with a reason."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from helm_sdkpy.exceptions import InstallError

from tests.helm.cluster.store import Object
from tests.helm.conftest import CHART, Render

VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text())
FREE = (
    "commonLabels",
    "commonAnnotations",
    "deploymentAnnotations",
    "dnsConfig",
    "global",  # a parent chart's
    ".annotations",
    "labels",
    "alertLabels",
    "nodeSelector",
    "requests",
    "limits",
    "podSecurityContext",
    "securityContext",
    "affinity",
    "behavior",
    "strategy",
    "podAnnotations",
    "podLabels",
)
"""Maps whose keys are the user's."""


def maps(tree: Object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every map of values.yaml whose keys the chart knows."""
    yield path
    for name, value in tree.items():
        if (
            isinstance(value, dict)
            and (*path, name) != ("defaults", "config")
            and not ".".join(("", *path, name)).endswith(FREE)
        ):
            yield from maps(value, (*path, name))


def at(path: tuple[str, ...], value: Any) -> Object:
    """Values that set one key, e.g. `at(("ocr", "gpu", "count"), 2)`."""
    for name in reversed(path):
        value = {name: value}
    return value


def refusal(render: Render, values: Object) -> str:
    with pytest.raises(InstallError) as caught:
        render(values)
    return str(caught.value)


def test_the_paths_are_found() -> None:
    found = set(maps(VALUES))
    assert {
        (),
        ("defaults", "gpu"),
        ("tls", "certManager", "issuerRef"),
        ("models", "job", "exportImage"),
        ("ocr", "config"),
    } <= found


def test_an_unknown_key_is_refused_in_every_map(render: Render) -> None:
    for path in maps(VALUES):
        message = refusal(render, at((*path, "unheardOf"), 1))
        assert "unheardOf" in message, path


COMPONENTS = ("router", "frontDoor", "ocr", "clip", "face")


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_knows_the_same_keys(component: str, render: Render) -> None:
    keys = {name: value for name, value in VALUES["defaults"].items() if name != "config"}
    render({component: {**keys, "image": {"repository": "x"}}})
    assert "misspelt" in refusal(render, {component: {"probes": {"startup": {"misspelt": 1}}}})


WRONG = {
    "a word for a number": at(("ocr", "replicaCount"), "two"),
    "a negative number": at(("ocr", "replicaCount"), -1),
    "a number for a label": at(("commonLabels", "a"), 1),
    "an unknown pull policy": at(("image", "pullPolicy"), "Sometimes"),
    "no digest": at(("ocr", "image", "digest"), "latest"),
    "no URL": at(("immich", "url"), "immich-server:2283"),
    "no size": at(("models", "persistence", "size"), "10 GB"),
    "no memory": at(("ocr", "gpu", "memoryLimit"), "2GiB"),
    "no resource": at(("ocr", "gpu", "resourceName"), "gpu"),
    "an unknown sharing": at(("ocr", "gpu", "sharing"), "fairly"),
    "no access mode": at(("models", "persistence", "accessModes"), ["RWX"]),
    "no device": at(("ocr", "device"), "gpu"),
    "no network": at(("networkPolicy", "externalClients"), ["192.168.0.1"]),
    "a variable without a name": at(("models", "job", "env"), [{"value": "x"}]),
    "an unknown mode of TLS": at(("tls", "mode"), "maybe"),
    "no duration": at(("tls", "certManager", "duration"), "a year"),
    "a bad port": at(("router", "service", "nodePort"), 70000),
    "a list for a map": at(("ocr", "config"), []),
    "an unknown source": at(("models", "source"), "ftp"),
    "no path": at(("models", "mountPath"), "models"),
    "a peer of no kind": at(("networkPolicy", "clients"), [{"everyone": True}]),
    "a misspelt setting": at(("ocr", "config", "max_resolutoin"), 736),
    "a nested misspelt setting": at(("ocr", "config", "batching", "max_batchsize"), 8),
    "a setting out of its range": at(("ocr", "config", "min_detection_score"), 7),
    "a setting of another service": at(("face", "config", "max_resolution"), 736),
    "a setting of the router, misspelt": at(("router", "config", "clusters", "clip", "balancr"), "round_robin"),
    "a setting that the chart gives": at(("ocr", "config", "device"), "cuda"),
    "a secret in plain sight": at(("router", "config", "auth_token"), "hunter2"),
    "a nested secret in plain sight": at(("router", "config", "listeners", "mt_photos", "api_key"), "hunter2"),
    "settings for all": at(("defaults", "config", "threads"), 2),
}


@pytest.mark.parametrize(("values"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_refused_by_the_schema(values: Object, render: Render) -> None:
    message = refusal(render, values)
    assert "values don't meet the specifications of the schema" in message
    leaf = values
    path = []
    while isinstance(leaf, dict) and len(leaf) == 1:
        path.append(next(iter(leaf)))
        leaf = leaf[path[-1]]
    assert path[-1] in message or path[-2] in message


GPU = {"gpu": {"enabled": True}}
IMPOSSIBLE = [
    ({"router": GPU}, "router.gpu.enabled: router runs no model"),
    ({"ocr": {"gpu": {"enabled": True, "count": 2}}}, "ocr.gpu.count: a pod uses one card, so 2 would leave 1 idle"),
    ({"ocr": {"gpu": {"enabled": True, "sharing": "dra", "count": 0}}}, "with sharing: dra a pod claims one card"),
    ({"ocr": {"gpu": {"enabled": True, "dra": {"claimName": "a"}}}}, "ocr.gpu.dra.claimName: is set while"),
    (
        {"ocr": {"gpu": {"enabled": True, "sharing": "dra", "dra": {"claimName": "a"}}}},
        "ocr.gpu.memoryLimit: pods that share a card share its memory",
    ),
    ({"ocr": {"gpu": {"enabled": True, "sharing": "mig"}}}, "nvidia.com/gpu is no MIG slice"),
    (
        {"ocr": {"gpu": {"enabled": True, "sharing": "mps"}}},
        "ocr.gpu.memoryLimit: pods that share a card share its memory",
    ),
    ({"ocr": {"gpu": {"enabled": True, "count": 0}}}, "ocr.gpu.count: 0 takes the card without asking the scheduler"),
    ({"ocr": {"device": "cuda"}}, "ocr.device: cuda and ocr.gpu.enabled: false contradict each other"),
    ({"ocr": {"device": "cpu", **GPU}}, "ocr.device: cpu and ocr.gpu.enabled: true contradict each other"),
    ({"ocr": {"device": "openvino:GPU", **GPU}}, "ocr.gpu.resourceName: nvidia.com/gpu is no GPU of Intel's"),
    (
        {
            "ocr": {
                "device": "openvino:GPU",
                "gpu": {"enabled": True, "resourceName": "gpu.intel.com/i915", "memoryLimit": "2Gi"},
            }
        },
        "ocr.gpu.memoryLimit: bounds CUDA's arena",
    ),
    ({"ocr": {"resources": {"limits": {"memory": "4GB"}}}}, "4GB: a quantity such as 512Mi or 2Gi is meant"),
    ({"ocr": {"gpu": {"memoryLimit": "2Gi"}}}, "ocr.gpu.memoryLimit: is set while ocr.gpu.enabled is false"),
    (
        {"ocr": {"autoscaling": {"enabled": True, "minReplicas": 5}}},
        "ocr.autoscaling: minReplicas 5 is more than maxReplicas 3",
    ),
    (
        {"ocr": {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 0}}},
        "ocr.autoscaling: nothing to scale by",
    ),
    (
        {"ocr": {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 0, "keda": {"enabled": True}}}},
        "ocr.autoscaling: nothing to scale by",
    ),
    ({"ocr": {"autoscaling": {"keda": {"enabled": True}}}}, "needs ocr.autoscaling.enabled too"),
    ({"ocr": {"autoscaling": {"enabled": True, "minReplicas": 0}}}, "0 is for ocr, clip and face with keda.enabled"),
    (
        {"router": {"autoscaling": {"enabled": True, "minReplicas": 0, "keda": {"enabled": True}}}},
        "router.autoscaling.minReplicas: 0 is for ocr, clip and face",
    ),
    (
        {"ocr": {"autoscaling": {"enabled": True, "minReplicas": 0, "keda": {"enabled": True}}}},
        "no pod has no CPU to go by",
    ),
    (
        {
            "ocr": {
                "autoscaling": {
                    "enabled": True,
                    "minReplicas": 0,
                    "targetCPUUtilizationPercentage": 0,
                    "keda": {"enabled": True, "triggers": [{"type": "cron", "metadata": {}}]},
                }
            }
        },
        "with minReplicas: 0 it is what wakes the first pod",
    ),
    (
        {"router": {"enabled": False}, "ocr": {"autoscaling": {"enabled": True, "targetOutstandingRequests": 2}}},
        "is what the routers know, and this release has none",
    ),
    (
        {"router": {"autoscaling": {"enabled": True, "targetOutstandingRequests": 2}}},
        "router.autoscaling.targetOutstandingRequests: requests wait for ocr, clip and face alone",
    ),
    (
        {"ocr": {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}}},
        "is a percentage of resources.requests.cpu, which is not set",
    ),
    ({"ocr": {"podDisruptionBudget": {"enabled": True, "minAvailable": 1}}}, "no node could ever be drained"),
    ({"ocr": {"podDisruptionBudget": {"enabled": True, "minAvailable": "100%"}}}, "no node could ever be drained"),
    ({"router": {"podDisruptionBudget": {"minAvailable": 2}}}, "2 of 2 pods must stay"),
    ({"secondRouter": {"podDisruptionBudget": {"enabled": True}}}, "the routers have one together"),
    ({"clip": {"service": {"type": "LoadBalancer"}}}, "clip.service.type: LoadBalancer cannot work"),
    ({"tls": {"enabled": True}}, "tls.enabled: where is the certificate?"),
    ({"tls": {"existingSecret": "a"}}, "while tls.enabled is false"),
    ({"tls": {"enabled": True, "existingSecret": "a", "certManager": {"enabled": True}}}, "exclude each other"),
    ({"tls": {"enabled": True, "certManager": {"enabled": True}}}, "which Issuer shall sign"),
    (
        {"models": {"source": "emptyDir", "persistence": {"existingClaim": "a"}}},
        "is set while models.source is emptyDir",
    ),
    ({"models": {"offline": True, "job": {"export": ["cn-clip/RN50"]}}}, "which models.offline forbids"),
    (
        {"models": {"job": {"export": ["cn-clip/RN50"]}}, "clip": {"enabled": False}},
        "converts CLIP's checkpoints, and clip is not installed",
    ),
    (
        {"router": {"service": {"type": "NodePort"}}},
        "router.service.type: NodePort would open a port that the NetworkPolicy closes",
    ),
    ({"secondRouter": {"service": {"type": "LoadBalancer"}}}, "secondRouter.service.type: LoadBalancer would open"),
    ({"immich": {"apiKey": {"existingSecret": "a"}}}, "immich.apiKey.existingSecret: a key to which Immich?"),
    ({"database": {"existingSecret": "a"}}, "immich.url: the front door"),
    ({"ingress": {"enabled": True, "host": "a"}}, "publish the front door, which is not installed: set immich.url"),
    ({"ingress": {"enabled": True}, "immich": {"url": "http://a"}}, "ingress.host: under which name"),
    ({"gateway": {"enabled": True}, "immich": {"url": "http://a"}}, "gateway.parentRefs: to which Gateway"),
]


@pytest.mark.parametrize(("values", "message"), IMPOSSIBLE, ids=[message[:60] for _, message in IMPOSSIBLE])
def test_what_cannot_work_is_refused_with_a_reason(values: Object, message: str, render: Render) -> None:
    assert message in refusal(render, values)
