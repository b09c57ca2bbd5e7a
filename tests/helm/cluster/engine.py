"""The Helm 4 engine itself (helm-sdkpy) against a double of the API server."""

import asyncio
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

os.environ["HELM_DRIVER"] = "memory"

from helm_sdkpy import Configuration, Install, Lint, ReleaseTest, Rollback, Uninstall, Upgrade
from helm_sdkpy.exceptions import RollbackError

from tests.helm.cluster.api import ApiServer
from tests.helm.cluster.store import Object

CHART = Path(__file__).resolve().parents[3] / "helm" / "immich-mesh"


@dataclass(frozen=True)
class Release:
    """What one action of the engine rendered and did."""

    reply: dict[str, Any]

    @cached_property
    def manifests(self) -> list[Object]:
        """The rendered objects, hooks aside, in the order of installation."""
        return [found for found in yaml.load_all(self.reply["manifest"], Loader=yaml.CSafeLoader) if found]

    @cached_property
    def hooks(self) -> list[Object]:
        """The rendered hooks."""
        return [yaml.load(hook["manifest"], Loader=yaml.CSafeLoader) for hook in self.reply.get("hooks") or []]

    @property
    def notes(self) -> str:
        """What Helm prints after the action."""
        return str(self.reply["info"].get("notes", ""))

    def find(self, kind: str, name: str) -> Object:
        """The one rendered object (hooks included) of that kind and name."""
        found = [one for one in self.all(kind) if one["metadata"]["name"] == name]
        if len(found) != 1:
            names = sorted(one["metadata"]["name"] for one in self.all(kind))
            raise AssertionError(f"{len(found)} objects {kind} {name}; there are {names}")
        return found[0]

    def all(self, kind: str) -> list[Object]:
        """All rendered objects of one kind, hooks included."""
        return [one for one in [*self.manifests, *self.hooks] if one["kind"] == kind]


class Helm:
    """One engine, one namespace, one memory of releases."""

    def __init__(self, server: ApiServer, namespace: str = "immich", chart: Path = CHART) -> None:
        self._config = Configuration(namespace=namespace, kubeconfig=server.kubeconfig)
        self._chart = str(chart)

    def install(self, values: Object | None = None, name: str = "mesh", **options: Any) -> Release:
        """`helm install`."""
        options = {"wait": False, **options}
        return Release(asyncio.run(Install(self._config).run(name, self._chart, values, **options)))

    def upgrade(self, values: Object | None = None, name: str = "mesh", **options: Any) -> Release:
        """`helm upgrade --reset-values`."""
        options = {"wait": False, "reset_values": True, **options}
        return Release(asyncio.run(Upgrade(self._config).run(name, self._chart, values, **options)))

    def rollback(self, revision: int, name: str = "mesh") -> None:
        """`helm rollback`, up to the objects.

        helm-sdkpy 0.1.32 passes no wait strategy, so the engine ends with that error after it has put the objects back.
        """
        try:
            asyncio.run(Rollback(self._config).run(name, revision))
        except RollbackError as error:
            if "wait strategy not set" not in str(error):
                raise

    def uninstall(self, name: str = "mesh") -> None:
        """`helm uninstall`."""
        asyncio.run(Uninstall(self._config).run(name, wait=False))

    def test(self, name: str = "mesh") -> dict[str, Any]:
        """`helm test`."""
        return asyncio.run(ReleaseTest(self._config).run(name))

    def lint(self) -> dict[str, Any]:
        """`helm lint`."""
        return asyncio.run(Lint(self._config).run(self._chart))
