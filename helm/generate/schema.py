"""Writes the chart's `values.schema.json`: the hand-written `helm/values.schema.yaml` plus every process's settings.

    python -m helm.generate.schema            # write it
    python -m helm.generate.schema --check    # exit 1 when it is not what the code says

So `helm install` refuses a misspelt setting (`ocr.config.max_resolutoin`) before a pod does, and a setting that the
code gains or loses is in the schema by the next check. What the chart sets itself (ports, devices, TLS) and what
belongs in a Secret is left out, and thereby refused in `config`.
"""

import json
import sys
from typing import Any

import yaml
from pydantic_settings import BaseSettings

from clip_service.config import ClipSettings
from face_service.config import FaceSettings
from helm.generate.files import ROOT, write_or_check
from ocr_service.config import OcrSettings
from router.config import RouterSettings

SOURCE = ROOT / "helm" / "values.schema.yaml"
TARGET = ROOT / "helm" / "immich-mesh" / "values.schema.json"

CHART_SETS = frozenset(
    {
        "auth_token",
        "cache_folder",
        "device",
        "drain_seconds",
        "gpu_memory_limit_bytes",
        "hf_endpoint",
        "host",
        "log_format",
        "log_level",
        "metrics_host",
        "metrics_port",
        "offline",
        "port",
        "tls",
        "upstream_tls",
    }
)
"""Settings that the chart gives from keys of its own, by their top-level name."""

PROCESSES: dict[str, type[BaseSettings]] = {
    "routerConfig": RouterSettings,
    "ocrConfig": OcrSettings,
    "clipConfig": ClipSettings,
    "faceConfig": FaceSettings,
}


def is_secret(schema: Any) -> bool:
    """Whether a property holds a secret, alone, in a list or as one alternative."""
    if isinstance(schema, dict):
        return schema.get("format") == "password" or any(is_secret(part) for part in schema.values())
    return isinstance(schema, list) and any(is_secret(part) for part in schema)


def without_noise(schema: Any, prefix: str) -> Any:
    """The schema with its definitions renamed, and without titles, defaults and secret properties."""
    if isinstance(schema, list):
        return [without_noise(part, prefix) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace("#/$defs/", f"#/$defs/{prefix}")}
    cleaned = {name: without_noise(part, prefix) for name, part in schema.items() if name not in {"default", "title"}}
    if isinstance(schema.get("properties"), dict):
        properties = {name: part for name, part in schema["properties"].items() if not is_secret(part)}
        cleaned["properties"] = {name: without_noise(part, prefix) for name, part in properties.items()}
    return cleaned


def settings_schemas(name: str, settings: type[BaseSettings]) -> dict[str, Any]:
    """The definitions that one process's settings add: `name` itself and the nested groups."""
    schema = settings.model_json_schema()
    nested = schema.pop("$defs", {})
    cleaned = without_noise(schema, name)
    cleaned["properties"] = {key: part for key, part in cleaned["properties"].items() if key not in CHART_SETS}
    cleaned["additionalProperties"] = False
    cleaned.pop("required", None)
    return {name: cleaned, **{f"{name}{key}": without_noise(part, name) for key, part in nested.items()}}


def build() -> str:
    """The text of values.schema.json."""
    schema: dict[str, Any] = yaml.safe_load(SOURCE.read_text())
    for name, settings in PROCESSES.items():
        schema["$defs"] |= settings_schemas(name, settings)
    return json.dumps(reachable(schema), indent=2, ensure_ascii=False) + "\n"


def reachable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without definitions that nothing refers to."""
    definitions = schema.pop("$defs")
    wanted: set[str] = set()
    queue = [schema]
    while queue:
        for name in _references(queue.pop()) - wanted:
            wanted.add(name)
            queue.append(definitions[name])
    return {**schema, "$defs": {name: part for name, part in definitions.items() if name in wanted}}


def _references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"].removeprefix("#/$defs/")} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in part.values()))
    if isinstance(part, list):
        return set().union(*(_references(value) for value in part))
    return set()


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, TARGET, build))
