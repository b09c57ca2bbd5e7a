"""Following a Kubernetes Service: what its slices say, what a lost or outdated watch costs, and what is asked for."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint_slices import ApiServer, EndpointSliceWatch, ServiceName
from router.upstream.endpoints.slices import EndpointSlice, addresses_of
from tests.waiting import until

SERVICE = ServiceName("mesh-ocr", "immich", 50051)


def pod(host: str, zone: str | None = None, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [host], "conditions": conditions, **({"zone": zone} if zone else {})}


def endpoint_slice(name: str, *pods: dict[str, Any], version: int = 1) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "mesh-ocr"}
    return {"metadata": {"name": name, "labels": labels, "resourceVersion": str(version)}, "endpoints": list(pods)}


def found(*slices: dict[str, Any]) -> list[Address]:
    read = [EndpointSlice.model_validate(one) for one in slices]
    return addresses_of(read, SERVICE.port, SERVICE.server_name)


def targets(*pods: dict[str, Any]) -> list[str]:
    return [one.target for one in found(endpoint_slice("a", *pods))]


def test_ready_pods_are_endpoints_with_name_and_zone() -> None:
    slices = [endpoint_slice("a", pod("10.0.0.2", "west", ready=True)), endpoint_slice("b", pod("fd00::1", ready=True))]
    assert found(*slices) == [
        Address("10.0.0.2:50051", "mesh-ocr.immich.svc", "west"),
        Address("[fd00::1]:50051", "mesh-ocr.immich.svc"),
    ]


def test_a_condition_that_is_not_told_is_no_obstacle() -> None:
    assert targets(pod("10.0.0.2")) == ["10.0.0.2:50051"]
    assert found({"metadata": {"name": "a"}, "endpoints": None}) == []


def test_pods_that_end_get_nothing_while_others_are_ready() -> None:
    ending = pod("10.0.0.1", ready=False, serving=True, terminating=True)
    assert targets(ending, pod("10.0.0.2", ready=True)) == ["10.0.0.2:50051"]


def test_pods_that_end_and_still_serve_are_better_than_none() -> None:
    """One card, the old pod first: until it is gone it answers."""
    ending = pod("10.0.0.1", ready=False, serving=True, terminating=True)
    gone = pod("10.0.0.3", ready=False, serving=False, terminating=True)
    starting = pod("10.0.0.4", ready=False, serving=False, terminating=False)
    assert targets(ending, gone, starting) == ["10.0.0.1:50051"]


@pytest.mark.parametrize("text", ["ocr:50051", "ocr.immich", "ocr.immich:grpc", ".immich:1", "ocr.immich.svc:1"])
def test_another_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write kubernetes:///service\.namespace:port"):
        ServiceName.parse(text)


def test_a_pod_finds_the_api_server_by_its_environment() -> None:
    found = ApiServer.of_this_pod({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"})
    assert found.url == "https://[fd00::1]:6443"
    with pytest.raises(OSError, match="needs a pod in a cluster"):
        ApiServer.of_this_pod({})


class Cluster:
    """Serves a list, and watches whose events a test gives; None ends a watch."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.version = 1
        self.refusal = 0
        self.queries: list[dict[str, str]] = []
        self.tokens: list[str] = []
        self.watches: asyncio.Queue[asyncio.Queue[Any]] = asyncio.Queue()

    async def slices(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        self.tokens.append(request.headers["Authorization"])
        if self.refusal:
            return web.json_response({"message": "endpointslices is forbidden"}, status=self.refusal)
        if "watch" not in request.query:
            return web.json_response({"items": self.items, "metadata": {"resourceVersion": str(self.version)}})
        events: asyncio.Queue[Any] = asyncio.Queue()
        self.watches.put_nowait(events)
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await events.get()) is not None:
            line = json.dumps(event).encode() + b"\n"
            for half in (line[: len(line) // 2], line[len(line) // 2 :]):
                await response.write(half)
        return response

    @property
    def lists(self) -> int:
        return sum("watch" not in query for query in self.queries)


@pytest.fixture
async def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def watch(cluster: Cluster, tmp_path: Path) -> AsyncIterator[EndpointSliceWatch]:
    (tmp_path / "token").write_text("first\n")
    app = web.Application()
    app.router.add_get("/apis/discovery.k8s.io/v1/namespaces/immich/endpointslices", cluster.slices)

    async def at_once(_: float) -> None:
        await asyncio.sleep(0)

    async with TestServer(app) as server:
        made = EndpointSliceWatch(SERVICE, lambda: None, ApiServer(str(server.make_url("")), tmp_path), at_once)
        yield made
        await made.close()
        while not cluster.watches.empty():
            cluster.watches.get_nowait().put_nowait(None)


def hosts(watch: EndpointSliceWatch) -> list[str]:
    return [one.target.rsplit(":", 1)[0] for one in watch.addresses]


async def test_it_lists_once_and_follows_from_there(cluster: Cluster, watch: EndpointSliceWatch) -> None:
    cluster.items = [endpoint_slice("a", pod("10.0.0.1"))]
    cluster.version = 7
    watch.start()
    events = await cluster.watches.get()
    assert hosts(watch) == ["10.0.0.1"]
    assert cluster.queries[0] == {"labelSelector": "kubernetes.io/service-name=mesh-ocr"}
    assert cluster.queries[1]["resourceVersion"] == "7"
    many = [pod(f"10.1.{number // 250}.{number % 250}") for number in range(1000)]
    events.put_nowait({"type": "ADDED", "object": endpoint_slice("b", *many, version=8)})
    await until(lambda: len(watch.addresses) == 1001)
    events.put_nowait({"type": "DELETED", "object": endpoint_slice("b", version=9)})
    await until(lambda: hosts(watch) == ["10.0.0.1"])
    events.put_nowait({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}})
    events.put_nowait(None)
    (await cluster.watches.get()).put_nowait(None)
    assert cluster.queries[2]["resourceVersion"] == "12"
    assert cluster.lists == 1


async def test_what_the_server_has_forgotten_is_read_anew(cluster: Cluster, watch: EndpointSliceWatch) -> None:
    watch.start()
    events = await cluster.watches.get()
    cluster.items = [endpoint_slice("a", pod("10.0.0.9"))]
    events.put_nowait({"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}})
    await cluster.watches.get()
    assert hosts(watch) == ["10.0.0.9"]
    assert cluster.lists == 2


async def test_what_is_known_stays_while_the_server_is_away(cluster: Cluster, watch: EndpointSliceWatch) -> None:
    cluster.items = [endpoint_slice("a", pod("10.0.0.1"))]
    watch.start()
    events = await cluster.watches.get()
    cluster.refusal = 403
    events.put_nowait(None)
    asked = len(cluster.queries)
    await until(lambda: len(cluster.queries) > asked + 3)
    assert hosts(watch) == ["10.0.0.1"]
    cluster.items, cluster.refusal = [endpoint_slice("a", pod("10.0.0.2"))], 0
    await until(lambda: hosts(watch) == ["10.0.0.2"])


@pytest.mark.parametrize("event", [{"type": "ADDED", "object": {"kind": "EndpointSlice"}}, {"type": "ADDED"}, [], None])
async def test_what_is_no_event_ends_the_watch_and_not_the_following(
    cluster: Cluster, watch: EndpointSliceWatch, event: Any
) -> None:
    """A proxy's answer, a newer API: what is known stays, and the list is read again."""
    cluster.items = [endpoint_slice("a", pod("10.0.0.1"))]
    watch.start()
    events = await cluster.watches.get()
    events.put_nowait("no object" if event is None else event)
    await cluster.watches.get()
    assert hosts(watch) == ["10.0.0.1"]
    assert cluster.lists == 2


async def test_a_token_that_is_replaced_is_shown(cluster: Cluster, watch: EndpointSliceWatch) -> None:
    watch.start()
    events = await cluster.watches.get()
    (watch.api.account / "token").write_text("second\n")
    events.put_nowait(None)
    await cluster.watches.get()
    assert (cluster.tokens[0], cluster.tokens[-1]) == ("Bearer first", "Bearer second")
