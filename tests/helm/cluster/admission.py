"""What the double refuses: all that the Kubernetes schemas refuse, strictly, and what API servers check beyond them."""

import functools
import json
import re
from importlib import resources
from typing import Any

import jsonschema
import referencing
import referencing.jsonschema
import yaml

from tests.helm.cluster.resources import Resource
from tests.helm.cluster.store import Object

LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
DNS_SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?")
IMMUTABLE = {
    "Deployment": (("spec", "selector"),),
    "Job": (("spec", "template"), ("spec", "completions")),
    "PersistentVolumeClaim": (("spec", "accessModes"), ("spec", "storageClassName"), ("spec", "volumeName")),
    "Service": (("spec", "clusterIP"),),
}


class AdmissionError(Exception):
    """The object is not valid; the message says where and why, as an API server's 422 does."""


@functools.cache
def schema_validator(cluster_version: str, resource: Resource) -> jsonschema.protocols.Validator:
    """The strict validator of a kind: kubernetes-validate's schemas, read once, or a definition in `crds/`."""
    if resource.custom:
        name = f"{resource.kind.lower()}.yaml"
        folder = resources.files("tests.helm.cluster").joinpath("crds")
        return jsonschema.Draft202012Validator(yaml.safe_load(folder.joinpath(name).read_text()))
    folder = resources.files("kubernetes_validate").joinpath(
        f"kubernetes-json-schema/v{cluster_version}.0-local-strict"
    )
    group = resource.group.removesuffix(".k8s.io").split(".")[0]
    stem = (
        f"{resource.kind.lower()}-{group}-{resource.version}"
        if group
        else f"{resource.kind.lower()}-{resource.version}"
    )
    schema = json.loads(folder.joinpath(f"{stem}.json").read_text())
    return jsonschema.Draft202012Validator(schema, registry=_definitions(cluster_version))


@functools.cache
def _definitions(cluster_version: str) -> referencing.Registry[Any]:
    folder = resources.files("kubernetes_validate").joinpath(
        f"kubernetes-json-schema/v{cluster_version}.0-local-strict"
    )
    content = json.loads(folder.joinpath("_definitions.json").read_text())
    registry: referencing.Registry[Any] = referencing.Registry()
    return registry.with_resource(content["$id"], referencing.Resource.from_contents(content)).crawl()


def admit(cluster_version: str, resource: Resource, new: Object, old: Object | None) -> None:
    """Refuses an object that a cluster of that version would refuse.

    Args:
        cluster_version: major and minor, e.g. `1.31`.
        resource: the kind that the request's path names.
        new: the object as it would be stored.
        old: what is stored now; None when it is created.

    Raises:
        AdmissionError: with the place and the reason.
    """
    if new.get("kind") != resource.kind or new.get("apiVersion") != resource.api_version:
        raise AdmissionError(
            f"{new.get('apiVersion')} {new.get('kind')} was sent to {resource.api_version} {resource.kind}"
        )
    problem = next(schema_validator(cluster_version, resource).iter_errors(new), None)
    if problem is not None:
        raise AdmissionError(f"{resource.kind} {new['metadata']['name']}: {problem.json_path}: {problem.message}")
    _check_metadata(resource, new)
    if old is not None:
        _check_immutable(resource, new, old)
    if checks := CHECKS.get(resource.kind):
        checks(new)


def _refuse_unless(condition: object, message: str) -> None:
    if not condition:
        raise AdmissionError(message)


def _check_metadata(resource: Resource, new: Object) -> None:
    meta = new["metadata"]
    name = meta["name"]
    pattern = DNS_LABEL if resource.kind == "Service" else DNS_SUBDOMAIN
    _refuse_unless(pattern.fullmatch(name) and len(name) <= (63 if pattern is DNS_LABEL else 253), f"bad name {name!r}")
    for label, value in (meta.get("labels") or {}).items():
        _refuse_unless(
            isinstance(value, str) and LABEL_VALUE.fullmatch(value), f"{name}: label {label}: bad value {value!r}"
        )
    for annotation, value in (meta.get("annotations") or {}).items():
        _refuse_unless(isinstance(value, str), f"{name}: annotation {annotation}: {value!r} is not a string")


def _check_immutable(resource: Resource, new: Object, old: Object) -> None:
    for path in IMMUTABLE.get(resource.kind, ()):
        before: Any = old
        after: Any = new
        for part in path:
            before, after = (before or {}).get(part), (after or {}).get(part)
        _refuse_unless(before == after, f"{resource.kind} {new['metadata']['name']}: {'.'.join(path)} is immutable")


def _check_workload(new: Object) -> None:
    template = new["spec"]["template"]
    labels = template["metadata"].get("labels", {})
    for label, value in new["spec"].get("selector", {}).get("matchLabels", {}).items():
        _refuse_unless(labels.get(label) == value, f"selector {label}={value} does not match the pod's labels")
    _check_pod_spec(new["metadata"]["name"], template["spec"])
    rolling = new["spec"].get("strategy", {}).get("rollingUpdate")
    _refuse_unless(
        not rolling
        or str(rolling.get("maxSurge", 1)) not in ("0", "0%")
        or str(rolling.get("maxUnavailable", 1)) not in ("0", "0%"),
        "maxSurge and maxUnavailable may not both be 0",
    )


def _check_pod_spec(name: str, spec: Object) -> None:
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    names = [container["name"] for container in containers]
    _refuse_unless(len(names) == len(set(names)), f"{name}: two containers of one name")
    volumes = [volume["name"] for volume in spec.get("volumes", [])]
    _refuse_unless(len(volumes) == len(set(volumes)), f"{name}: two volumes of one name")
    for container in containers:
        _check_container(name, container, set(volumes))


def _check_container(name: str, container: Object, volumes: set[str]) -> None:
    where = f"{name}/{container['name']}"
    _refuse_unless(container.get("image"), f"{where}: no image")
    ports = [port.get("name", "") for port in container.get("ports", [])]
    for port in ports:
        _refuse_unless(not port or PORT_NAME.fullmatch(port), f"{where}: bad port name {port!r}")
    _refuse_unless(len(ports) == len(set(ports)), f"{where}: two ports of one name")
    mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    _refuse_unless(len(mounts) == len(set(mounts)), f"{where}: two mounts at one path")
    for mount in container.get("volumeMounts", []):
        _refuse_unless(mount["name"] in volumes, f"{where}: no volume {mount['name']!r}")
    variables = [variable["name"] for variable in container.get("env", [])]
    repeated = sorted({variable for variable in variables if variables.count(variable) > 1})
    _refuse_unless(not repeated, f"{where}: variables set twice: {', '.join(repeated)}")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        _check_probe(where, container, probe, set(ports))
    _check_resources(where, container.get("resources", {}))


def _check_probe(where: str, container: Object, probe: str, ports: set[str]) -> None:
    found = container.get(probe)
    if found is None:
        return
    handlers = [handler for handler in ("exec", "grpc", "httpGet", "tcpSocket") if handler in found]
    _refuse_unless(len(handlers) == 1, f"{where}: {probe} has {len(handlers)} handlers")
    port = found[handlers[0]].get("port")
    _refuse_unless(not isinstance(port, str) or port in ports, f"{where}: {probe}: no port {port!r}")
    if probe != "readinessProbe":
        _refuse_unless(found.get("successThreshold", 1) == 1, f"{where}: {probe}: successThreshold must be 1")


def _check_resources(where: str, wanted: Object) -> None:
    requests, limits = wanted.get("requests", {}), wanted.get("limits", {})
    for resource, amount in requests.items():
        if "/" in resource:
            _refuse_unless(limits.get(resource) == amount, f"{where}: {resource}: request and limit must be equal")


def _check_service(new: Object) -> None:
    ports = new["spec"].get("ports", [])
    _refuse_unless(ports, "a Service needs ports")
    names = [port.get("name", "") for port in ports]
    _refuse_unless(len(names) == len(set(names)), "two ports of one name")
    _refuse_unless(len(ports) == 1 or all(names), "several ports need names")


def _check_budget(new: Object) -> None:
    both = {"minAvailable", "maxUnavailable"} <= new["spec"].keys()
    _refuse_unless(not both, "minAvailable and maxUnavailable exclude each other")


CHECKS = {
    "Deployment": _check_workload,
    "Job": _check_workload,
    "Pod": lambda new: _check_pod_spec(new["metadata"]["name"], new["spec"]),
    "PodDisruptionBudget": _check_budget,
    "Service": _check_service,
}
