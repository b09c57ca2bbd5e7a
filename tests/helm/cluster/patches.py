"""The ways in which Helm changes an object: JSON merge patch, strategic merge patch, server-side apply.

Strategic merge patches follow the directives that client-side three-way merges of Helm and kubectl produce
(https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/). Which lists merge by
which key is the `patchMergeKey` of the API types.
"""

import copy
from typing import Any

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "hostAliases": "ip",
    "conditions": "type",
}


def merge_key(field: str, items: list[Any]) -> str | None:
    """The key that a list of objects merges by; None for a list that is replaced whole."""
    if field == "ports":
        return "containerPort" if any("containerPort" in item for item in items if isinstance(item, dict)) else "port"
    return MERGE_KEYS.get(field)


def json_merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = json_merge(merged.get(name), value)
    return merged


def strategic_merge(target: Any, patch: Any) -> Any:
    """A strategic merge of one object, directives (`$patch`, `$retainKeys`, `$setElementOrder`, ...) included."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    if patch.get("$patch") == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    if "$retainKeys" in patch:
        merged = {name: value for name, value in merged.items() if name in patch["$retainKeys"]}
    for name, value in patch.items():
        if name.startswith("$"):
            _directive(merged, name, value)
        elif value is None:
            merged.pop(name, None)
        elif isinstance(value, list):
            merged[name] = _merge_list(name, merged.get(name, []), value)
        else:
            merged[name] = strategic_merge(merged.get(name), value)
    _order_lists(merged, patch)
    return merged


def _directive(merged: dict[str, Any], name: str, value: Any) -> None:
    if name.startswith("$deleteFromPrimitiveList/"):
        field = name.partition("/")[2]
        merged[field] = [item for item in merged.get(field, []) if item not in value]


def _merge_list(field: str, current: list[Any], patch: list[Any]) -> list[Any]:
    key = merge_key(field, patch)
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    if key is None or not all(isinstance(item, dict) for item in patch):
        return copy.deepcopy(patch)
    merged = {item[key]: item for item in current}
    for item in patch:
        if item.get("$patch") == "delete":
            merged.pop(item[key], None)
        else:
            merged[item[key]] = strategic_merge(merged.get(item[key]), item)
    return list(merged.values())


def _order_lists(merged: dict[str, Any], patch: dict[str, Any]) -> None:
    for name, order in patch.items():
        if not name.startswith("$setElementOrder/"):
            continue
        field = name.partition("/")[2]
        items = merged.get(field, [])
        key = merge_key(field, items)
        if key is None or not order or not isinstance(order[0], dict):
            continue
        rank = {element[key]: index for index, element in enumerate(order)}
        merged[field] = sorted(items, key=lambda item: rank.get(item[key], len(rank)))


def apply(current: dict[str, Any] | None, applied: dict[str, Any]) -> dict[str, Any]:
    """Server-side apply with one field manager: what it no longer applies goes, what the server added stays."""
    merged = copy.deepcopy(applied)
    if current is not None:
        if "status" in current:
            merged["status"] = current["status"]
        for name in ("uid", "creationTimestamp", "generation", "resourceVersion"):
            merged["metadata"][name] = current["metadata"][name]
    return merged
