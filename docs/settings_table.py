"""Writes docs/settings.md's tables from the settings classes; `--check` proves that what is committed is current."""

import argparse
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # run as a file, Python looks for our packages beside it
    sys.path.insert(0, str(ROOT))

from clip_service.config import ClipSettings  # noqa: E402
from face_service.config import FaceSettings  # noqa: E402
from mesh.cli.app import app  # noqa: E402
from mesh.cli.machine.supervisor_settings import SupervisorSettings  # noqa: E402
from mesh.core.settings import ServiceSettings  # noqa: E402
from ocr_service.config import OcrSettings  # noqa: E402
from router.config import RouterSettings  # noqa: E402

TARGET = ROOT / "docs" / "settings.md"
START, END = "<!-- settings:start -->", "<!-- settings:end -->"
PEOPLE_SET = {
    "Immich": (
        "IMMICH_URL",
        "ROUTER_LISTENERS__PHOTOS__DATABASE__URL",
        "ROUTER_LISTENERS__IMMICH_ML__PORT",
        "ROUTER_LISTENERS__IMMICH_ML__PATH",
        "MT_PHOTOS_API_KEY",
    ),
    "Models": (
        "OCR_MODEL_NAME",
        "CLIP_MODEL_NAME",
        "FACE_MODEL_NAME",
        "MESH_CACHE_FOLDER",
        "HF_ENDPOINT",
        "MESH_OFFLINE",
    ),
    "Machine": (
        "MESH_DEVICE",
        "<SERVICE>_PRECISION",
        "<SERVICE>_THREADS",
        "<SERVICE>_MODEL_TTL_SECONDS",
        "<SERVICE>_MEMORY_BUDGET_BYTES",
    ),
    "Several machines": (
        "ROUTER_CLUSTERS__<NAME>__ENDPOINTS",
        "<SERVICE>_HOST",
        "MESH_AUTH_TOKEN",
        "<SERVICE>_TLS__CERT_FILE",
    ),
    "Logs": ("MESH_LOG_LEVEL", "MESH_LOG_FORMAT", "ROUTER_ACCESS_LOG"),
}
"""What most people change, by what it is about: names or aliases of settings."""

LONGEST_DEFAULT = 60
"""Characters of a default that are shown; networks and the like are in the code."""


@dataclass(frozen=True)
class Row:
    """One setting: its path below the prefix (`LISTENERS__ADMIN__PORT`), other names, default and meaning."""

    path: str
    aliases: tuple[str, ...]
    default: str
    meaning: str

    def markdown(self, prefix: str) -> str:
        """The row of a table."""
        names = "<br>".join(f"`{name}`" for name in (prefix + self.path, *self.aliases))
        default = f"`{self.default}`" if self.default else ""
        return f"| {names} | {default} | {escaped(self.meaning)} |"


def escaped(text: str) -> str:
    """Text that does not end a table's cell or begin an element."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def model_inside(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The settings class that a field holds, and how its path goes on: itself, `<NAME>` of a mapping, or a list."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    if origin is dict and isinstance(inner[1], type) and issubclass(inner[1], BaseModel):
        return inner[1], "<NAME>__"
    if origin in (tuple, list) and isinstance(inner[0], type) and issubclass(inner[0], BaseModel):
        return inner[0], "[]"
    if origin in (types.UnionType, typing.Union):
        return next((found for found in map(model_inside, inner) if found[0]), (None, ""))
    return None, ""


def shown(value: Any) -> str:
    """A default as it would be set; empty for none."""
    if value is None or value is PydanticUndefined or isinstance(value, SecretStr):
        return ""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    text = ",".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= LONGEST_DEFAULT else text[: LONGEST_DEFAULT - 1] + "…"


def rows(
    model: type[BaseModel], aliases: Mapping[str, Sequence[str]], defaults: Any = None, path: str = ""
) -> Iterator[Row]:
    """Every setting of a class and of the classes inside it, depth first.

    Args:
        model: the class.
        aliases: other names by dotted path.
        defaults: an object whose attributes are the defaults where they differ from the class's own.
        path: of the class, dotted, with its final dot.
    """
    for name, field in model.model_fields.items():
        default = getattr(defaults, name) if defaults is not None else default_of(field)
        inside, step = model_inside(field.annotation)
        if inside is None:
            upper = (path + name).upper().replace(".", "__")
            meaning = field.description
            if not meaning:
                raise SystemExit(f"{model.__name__}.{name} has no description")
            yield Row(upper, tuple(aliases.get(path + name, ())), shown(default), meaning)
        elif step != "[]":
            below = default if isinstance(default, inside) else None
            yield from rows(inside, aliases, below, f"{path}{name}.{step.replace('__', '.')}")


def default_of(field: FieldInfo) -> Any:
    """The default, made when the field makes one."""
    return field.get_default(call_default_factory=True, validated_data={})


def split_common(groups: Mapping[str, list[Row]]) -> tuple[list[Row], dict[str, list[Row]]]:
    """The rows that all groups share, taken out of each."""
    first, *others = groups.values()
    common = [row for row in first if all(row in other for other in others)]
    return common, {name: [row for row in own if row not in common] for name, own in groups.items()}


def listener_rows(all_rows: list[Row]) -> list[Row]:
    """The router's rows, with what every listener has written once, as `LISTENERS__<LISTENER>__...`."""
    mark = "LISTENERS__"
    groups: dict[str, list[Row]] = {}
    for row in all_rows:
        if row.path.startswith(mark):
            name, rest = row.path.removeprefix(mark).split("__", 1)
            groups.setdefault(name, []).append(Row(rest, row.aliases, row.default, row.meaning))
    common, own = split_common(groups)
    told = [Row(f"{mark}<LISTENER>__{row.path}", row.aliases, row.default, row.meaning) for row in common]
    for name, special in own.items():
        told += [Row(f"{mark}{name}__{row.path}", row.aliases, row.default, row.meaning) for row in special]
    return told + [row for row in all_rows if not row.path.startswith(mark)]


def table(prefix: str, content: list[Row]) -> list[str]:
    """A Markdown table."""
    return ["| Setting | Default | Meaning |", "|---|---|---|", *(row.markdown(prefix) for row in content), ""]


def people_set(prefixed: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """The short table. Raises SystemExit when a name is no setting.

    Args:
        prefixed: all rows, by the prefix of their names.
    """
    found = {
        name: row
        for prefix, all_rows in prefixed.items()
        for row in all_rows
        for name in (prefix + row.path, *row.aliases)
    }
    yield from ("| About | Setting | Default | Meaning |", "|---|---|---|---|")
    for about, names in PEOPLE_SET.items():
        for name in names:
            if name not in found:
                raise SystemExit(f"PEOPLE_SET names {name}, which is no setting")
            row = found[name]
            default = f"`{row.default}`" if row.default else ""
            yield f"| {about} | `{name}` | {default} | {escaped(row.meaning)} |"
    yield ""


def file_only(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Tables of the lists that only the YAML file can hold, such as routes."""
    for name, field in model.model_fields.items():
        inside, step = model_inside(field.annotation)
        if inside is not None and step == "[]":
            yield f"### `{path}{name}[]`, in the router's file only"
            yield ""
            lowered = [
                Row(row.path.lower().replace("__", "."), (), row.default, row.meaning) for row in rows(inside, {})
            ]
            yield from table("", lowered)
            yield from file_only(inside, f"{path}{name}[].")


def command_rows() -> list[Row]:
    """The environment's part in the options of `immich-mesh`, each name once."""
    found: dict[str, Row] = {}
    waiting: list[Any] = [typer.main.get_command(app)]
    while waiting:
        command = waiting.pop(0)
        waiting += getattr(command, "commands", {}).values()
        for param in command.params:
            first, *others = [param.envvar] if isinstance(param.envvar, str) else param.envvar or [""]
            if first:
                default = param.default if isinstance(param.default, str) else ""
                meaning = f"`{param.opts[0]}`: {param.help}"
                found.setdefault(first, Row(first, tuple(others), default, meaning))
    return [found[name] for name in sorted(found)]


def render() -> str:
    """All tables."""
    services: dict[str, type[ServiceSettings]] = {"OCR": OcrSettings, "CLIP": ClipSettings, "Face": FaceSettings}
    common, own = split_common({name: list(rows(kind, kind.shared_names)) for name, kind in services.items()})
    router = list(rows(RouterSettings, RouterSettings.aliased_names))
    prefixed = {"<SERVICE>_": common, "ROUTER_": router} | {
        f"{name.upper()}_": special for name, special in own.items()
    }
    lines = ["## What people set", "", *people_set(prefixed), "# Appendix: every setting", ""]
    lines += ["## Every service", "", "`<SERVICE>` is `OCR`, `CLIP` or `FACE`.", "", *table("<SERVICE>_", common)]
    for name, special in own.items():
        lines += [f"## {name} service", "", *table(f"{name.upper()}_", special)]
    listeners = sorted({row.path.split("__")[1] for row in router if row.path.startswith("LISTENERS__")})
    told = ", ".join(f"`{name}`" for name in listeners)
    lines += [
        "## Router",
        "",
        f"`<LISTENER>` is one of {told}; `<NAME>` names a cluster (`OCR`, `CLIP`, `FACE` or yours).",
        "",
    ]
    lines += [*table("ROUTER_", listener_rows(router)), *file_only(RouterSettings)]
    lines += ["## `immich-mesh up`", "", *table("MESH_", list(rows(SupervisorSettings, {})))]
    lines += ["## The command `immich-mesh`", "", *table("", command_rows())]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Writes the file, or compares it. 1 when it is not current."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(";", 1)[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the file is not current")
    arguments = parser.parse_args()
    text = TARGET.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    fresh = f"{before}{START}\n\n{render()}\n{END}{after}"
    if fresh == text:
        return 0
    if arguments.check:
        print(f"{TARGET.relative_to(ROOT)} is not current: run python docs/settings_table.py", file=sys.stderr)
        return 1
    TARGET.write_text(fresh, encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
