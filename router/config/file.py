"""The configuration file: read, validated with positions, watched.

`load` is what the router does; `check_config` is the same for people (`immich-mesh check-config FILE`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import SettingsError

from mesh.core.settings import Place
from mesh.core.settings.reading import variable
from router.config import RouterSettings


class ConfigError(Exception):
    """The configuration is wrong.

    Attributes:
        problems: one line each: `file:line:column: place: what is wrong`.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path | None) -> RouterSettings:
    """The settings of a YAML file (None for none) and the environment, which beats it. Raises ConfigError."""
    root = _parse(path) if path else None
    data = _plain(root) if root is not None else {}
    if not isinstance(data, dict):
        raise ConfigError([f"{path}:1:1: the file must be a mapping of listeners, clusters, routes and other settings"])
    try:
        return RouterSettings(**data)
    except ValidationError as error:
        raise ConfigError([_problem(path, root, detail) for detail in error.errors()]) from error
    except SettingsError as error:
        raise ConfigError([f"environment: {error} ({error.__cause__})"]) from error


def check_config(path: Path) -> RouterSettings:
    """The settings that the router would run with. Raises ConfigError."""
    return load(path)


def json_schema() -> dict[str, Any]:
    """The JSON schema of the file, for editors."""
    return RouterSettings.model_json_schema()


def config_dump(settings: RouterSettings) -> dict[str, Any]:
    """The settings as plain data, completed clusters and routes included, every secret masked."""
    dump = settings.model_dump(mode="json")
    dump["clusters"] = {name: cluster.model_dump(mode="json") for name, cluster in settings.all_clusters().items()}
    dump["routes"] = [route.model_dump(mode="json") for route in settings.all_routes()]
    masked: dict[str, Any] = _mask_urls(dump)
    return masked


def _mask_urls(value: Any) -> Any:
    """URLs may carry a user and a password."""
    if isinstance(value, dict):
        return {key: _mask_urls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mask_urls(item) for item in value]
    if isinstance(value, str) and "://" in value and "@" in value:
        scheme, _, rest = value.partition("://")
        return f"{scheme}://**********@{rest.rpartition('@')[2]}"
    return value


def _parse(path: Path) -> yaml.Node | None:
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_at(path, error.problem_mark, f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}: not YAML: {error}"]) from error
    if root is not None and (twice := [_at(path, mark, f"{key}: given twice") for key, mark in _duplicates(root)]):
        raise ConfigError(twice)
    return root


def _duplicates(node: yaml.Node) -> Iterator[tuple[str, Any]]:
    """Keys that a mapping has twice, which YAML forbids and PyYAML takes."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield key.value, key.start_mark
            seen.add(key.value)
            yield from _duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicates(item)


def _plain(root: yaml.Node) -> Any:
    # The constructor wants a loader's other half too; an empty stream gives one.
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _at(path: Path | None, mark: Any, text: str) -> str:
    return f"{path}:{mark.line + 1}:{mark.column + 1}: {text}" if mark else f"{path}: {text}"


def _problem(path: Path | None, root: yaml.Node | None, detail: Any) -> str:
    place: Place = detail["loc"]
    text = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        text = "no such setting"
    shown = f"{'.'.join(map(str, place))}: {text}" if place else text
    mark, depth = _mark(root, place or _place_in(text))
    if mark is None or (place and depth == 0):
        return f"{variable(place, RouterSettings)}: {text}" if place else f"{path or 'environment'}: {shown}"
    return _at(path, mark, shown)


def _place_in(text: str) -> Place:
    """Checks across settings name their place at the start of the message: `routes.0: …`."""
    return tuple(int(step) if step.isdigit() else step for step in text.partition(":")[0].split("."))


def _mark(root: yaml.Node | None, place: Place) -> tuple[Any, int]:
    """Where the deepest known part of a place stands, and how deep that is."""
    node, mark, depth = root, root.start_mark if root else None, 0
    for step in place:
        found = _child(node, step)
        if found is None:
            break
        mark, node = found
        depth += 1
    return mark, depth


def _child(node: yaml.Node | None, step: int | str) -> tuple[Any, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark, node.value[step]
    return None
