"""KEDA with its Prometheus: reads the metrics of the pods that run, and sets how many there are, by the ScaledObjects.

Of PromQL it knows what the chart writes: `sum` over a selector or its `increase`, `> bool`, and labels by `=`, `=~`.
"""

import asyncio
import math
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import promql_parser
from aiohttp import ClientError, ClientSession, ClientTimeout

from tests.helm.cluster.kubelet import Kubelet
from tests.helm.cluster.store import Object

METRICS_PORT = 9464
LINE = re.compile(r"^(?P<name>[a-z_:]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'(\w+)="([^"]*)"')

Series = dict[tuple[tuple[str, str], ...], float]
"""Values by their labels, the metric's name among them."""


@dataclass
class Keda:
    """Scales what the cluster's ScaledObjects name, until it is stopped.

    Attributes:
        decisions: Deployment and number of pods, whenever one was set.
        reads_nobody: its Prometheus reads no pod any more.
    """

    kubelet: Kubelet
    server: Any
    decisions: list[tuple[str, int]] = field(default_factory=list)
    reads_nobody: bool = False
    _scrapes: list[tuple[float, Series]] = field(default_factory=list)
    _active: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        """Begins, in the server's loop."""
        self._task = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        """Ends."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        async with ClientSession(timeout=ClientTimeout(total=5)) as session:
            while True:
                self._scrapes.append((time.monotonic(), await self._scrape(session)))
                for one in self.kubelet.objects("ScaledObject"):
                    self._scale(one)
                await asyncio.sleep(1)

    async def _scrape(self, session: ClientSession) -> Series:
        found: Series = {}
        if self.reads_nobody:
            return found
        for service in self.kubelet.objects("Service"):
            name = service["metadata"]["name"]
            for pod in self.kubelet.endpoints(name):
                try:
                    async with session.get(f"http://{pod.address}:{METRICS_PORT}/metrics") as response:
                        text = await response.text()
                except (ClientError, TimeoutError):
                    continue
                target = {"namespace": "immich", "service": name, "pod": pod.name}
                for line in text.splitlines():
                    if match := LINE.match(line):
                        labels = {**dict(LABEL.findall(match["labels"] or "")), **target, "__name__": match["name"]}
                        found[tuple(sorted(labels.items()))] = float(match["value"])
        return found

    def _scale(self, scaled: Object) -> None:
        spec, now = scaled["spec"], time.monotonic()
        name = spec["scaleTargetRef"]["name"]
        resource = next(one for one in self.server.resources if one.kind == "Deployment")
        found = self.server.store.get((resource, "immich", name))
        if found is None:
            return
        wanted, before, failed = 0, found["spec"].get("replicas", 1), False
        for trigger in spec["triggers"]:
            if trigger["type"] == "prometheus":
                value = self._value(promql_parser.parse(trigger["metadata"]["query"]))
                if value is None and trigger["metadata"].get("ignoreNullValues") == "false":
                    failed = True
                if value:
                    self._active[name] = now
                wanted = max(wanted, math.ceil((value or 0) / float(trigger["metadata"]["threshold"])))
        if failed:
            self._fall_back(name, spec, found, before)
            return
        self._failures[name] = 0
        resting = now - self._active.setdefault(name, now) >= spec["cooldownPeriod"]
        least = spec["minReplicaCount"] if resting else max(1, spec["minReplicaCount"])
        wanted = min(max(wanted, least), spec["maxReplicaCount"])
        if wanted < before and not resting:
            wanted = before
        self._set(name, found, before, wanted)

    def _fall_back(self, name: str, spec: Object, found: Object, before: int) -> None:
        """A trigger that could not be read changes nothing, until it could not so many times."""
        self._failures[name] = self._failures.get(name, 0) + 1
        fallback = spec.get("fallback")
        if fallback and self._failures[name] >= fallback["failureThreshold"]:
            self._set(name, found, before, fallback["replicas"])

    def _set(self, name: str, found: Object, before: int, wanted: int) -> None:
        if wanted != before:
            resource = next(one for one in self.server.resources if one.kind == "Deployment")
            self.decisions.append((name, wanted))
            found["spec"]["replicas"] = wanted
            self.server.store.put((resource, "immich", name), found)

    def _value(self, query: Any) -> float | None:
        """None: there is no such series. Raises NotImplementedError: a query of another form."""
        kind = type(query).__name__
        if kind == "BinaryExpr":
            left, right = self._value(query.lhs), self._value(query.rhs)
            return None if left is None or right is None else float(left > right)
        if kind == "NumberLiteral":
            return float(query.val)
        if kind == "AggregateExpr":
            return self._value(query.expr)
        if kind == "Call":
            (window,) = query.args
            oldest = time.monotonic() - window.range.total_seconds()
            within = [series for at, series in self._scrapes if at >= oldest]
            return _total(
                max(0.0, value - within[0].get(key, 0.0))
                for key, value in within[-1].items()
                if _selects(window.vector_selector, key)
            )
        if kind == "VectorSelector":
            return _total(value for key, value in self._scrapes[-1][1].items() if _selects(query, key))
        raise NotImplementedError(kind)


def _total(values: Iterable[float]) -> float | None:
    """The sum, as Prometheus gives it: none of nothing."""
    found = list(values)
    return sum(found) if found else None


def _selects(selector: Any, key: tuple[tuple[str, str], ...]) -> bool:
    labels = dict(key)
    return labels["__name__"] == selector.name and all(
        _matches(matcher, labels.get(matcher.name, "")) for matcher in selector.matchers.matchers
    )


def _matches(matcher: Any, value: str) -> bool:
    """Raises NotImplementedError: a matcher of another kind."""
    if matcher.op == promql_parser.MatchOp.Equal:
        return bool(matcher.value == value)
    if matcher.op == promql_parser.MatchOp.Re:
        return re.fullmatch(matcher.value, value) is not None
    raise NotImplementedError(matcher.op)
