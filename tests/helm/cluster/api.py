"""A Kubernetes API server in this process, as far as the Helm engine needs one.

It serves discovery, keeps objects, streams watches, applies patches, and refuses what a cluster of its version refuses.
It runs in a thread of its own, because the engine blocks its caller.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from aiohttp import web

from tests.helm.cluster import patches, resources
from tests.helm.cluster.admission import AdmissionError, admit
from tests.helm.cluster.controllers import Controllers
from tests.helm.cluster.resources import Resource
from tests.helm.cluster.store import Key, Object, Store

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiServer:
    """The double. `requests` records `METHOD path` of every request that changed something."""

    def __init__(self, version: str, custom: bool = True) -> None:
        self.version = version
        self.store = Store()
        self.controllers = Controllers(self.store)
        self.requests: list[str] = []
        served = resources.BUILT_IN + (resources.CUSTOM if custom else ())
        self.resources = tuple(one for one in served if one.since <= int(version.partition(".")[2]))
        self.url = ""
        self.loop = asyncio.new_event_loop()

    @property
    def kubeconfig(self) -> str:
        """A kubeconfig that leads here."""
        cluster = {"name": "double", "cluster": {"server": self.url}}
        context = {"name": "double", "context": {"cluster": "double", "user": "double"}}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [cluster],
                "contexts": [context],
                "current-context": "double",
                "users": [{"name": "double", "user": {"token": "not-a-secret"}}],
            }
        )

    def objects(self, kind: str | None = None) -> list[Object]:
        """All stored objects, of one kind or of all. Callable from any thread."""
        wanted = [one for one in self.resources if kind in (None, one.kind)]
        return self.call(lambda: [found for one in wanted for found in self.store.list(one)])

    def clear(self) -> None:
        """Forgets all objects."""
        self.call(self.store.clear)

    def create(self, new: Object) -> None:
        """Stores an object as another program of the cluster would."""
        group, _, version = new["apiVersion"].rpartition("/")
        resource = next(
            one for one in self.resources if (one.group, one.version, one.kind) == (group, version, new["kind"])
        )
        key = (resource, new["metadata"].get("namespace", ""), new["metadata"]["name"])
        self.call(lambda: self.store.put(key, new))

    def call(self, work: Callable[[], Any]) -> Any:
        """Runs `work` in the server's loop, where the store lives."""

        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    # -- requests -----------------------------------------------------------------------------------------------------

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        """Answers one request: version and discovery, else the objects."""
        parts = [part for part in request.path.split("/") if part]
        if request.path in ("/version", "/version/"):
            major, minor = self.version.split(".")
            return web.json_response({"major": major, "minor": minor, "gitVersion": f"v{self.version}.0"})
        if request.path == "/readyz":
            return web.Response(text="ok")
        if parts in (["api"], ["apis"]):
            core = {"kind": "APIVersions", "versions": ["v1"]}
            return web.json_response(core if parts == ["api"] else resources.group_list(self.resources))
        if parts[:2] == ["openapi", "v3"]:
            root = "/".join(parts[2:])
            return web.json_response(
                resources.openapi(self.resources, root) if root else resources.openapi_index(self.resources)
            )
        if parts[0] not in ("api", "apis"):
            return problem(404, "NotFound", f"no {request.path} here")
        depth = 2 if parts[0] == "api" else 3
        group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
        if len(parts) == depth:
            return web.json_response(resources.resource_list(self.resources, group, version))
        return await self._objects(request, group, version, parts[depth:])

    async def _objects(self, request: web.Request, group: str, version: str, rest: list[str]) -> web.StreamResponse:
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        resource = resources.find(self.resources, group, version, rest[0])
        if resource is None:
            return problem(404, "NotFound", f"the server could not find the requested resource {request.path}")
        if request.method != "GET":
            self.requests.append(f"{request.method} {request.path}")
        if len(rest) == 1:
            return await self._collection(request, resource, namespace)
        return await self._one(request, (resource, namespace, rest[1]))

    async def _collection(self, request: web.Request, resource: Resource, namespace: str) -> web.StreamResponse:
        if request.method == "POST":
            new = decode(await request.read())
            key = (resource, namespace, new["metadata"]["name"])
            if self.store.get(key):
                return problem(409, "AlreadyExists", f'{resource.plural} "{key[2]}" already exists')
            return self._store(key, new, None, 201)
        if request.query.get("watch") in ("true", "1"):
            return await self._stream(request, resource, namespace)
        items = [found for found in self.store.list(resource, namespace) if selected(found, request)]
        listing = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "items": items}
        return web.json_response({**listing, "metadata": {"resourceVersion": str(self.store.version)}})

    async def _stream(self, request: web.Request, resource: Resource, namespace: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        initial = request.query.get("sendInitialEvents") == "true"
        watch = self.store.watch(
            resource, namespace, None if initial else int(request.query.get("resourceVersion") or 0)
        )
        try:
            await response.prepare(request)
            while True:
                event = await watch.events.get()
                if event["type"] == "BOOKMARK" or selected(event["object"], request):
                    await response.write(json.dumps(event).encode() + b"\n")
        except ConnectionError:
            return response
        finally:
            self.store.unwatch(watch)

    async def _one(self, request: web.Request, key: Key) -> web.StreamResponse:
        resource, _, name = key
        old = self.store.get(key)
        if request.method == "PATCH":
            return await self._patch(request, key, old)
        if old is None:
            return problem(404, "NotFound", f'{resource.plural} "{name}" not found')
        if request.method == "GET":
            return web.json_response(old)
        if request.method == "DELETE":
            self.store.delete(key)
            return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        if request.method == "PUT":
            return self._store(key, decode(await request.read()), old, 200)
        return problem(405, "MethodNotAllowed", request.method)

    async def _patch(self, request: web.Request, key: Key, old: Object | None) -> web.StreamResponse:
        patch = decode(await request.read())
        if request.content_type == "application/apply-patch+yaml":
            return self._store(key, patches.apply(old, patch), old, 200 if old else 201)
        if old is None:
            return problem(404, "NotFound", f'{key[0].plural} "{key[2]}" not found')
        if request.content_type == "application/strategic-merge-patch+json":
            if key[0].custom:
                return problem(415, "UnsupportedMediaType", "custom resources take no strategic merge patch")
            return self._store(key, patches.strategic_merge(old, patch), old, 200)
        if request.content_type == "application/merge-patch+json":
            return self._store(key, patches.json_merge(old, patch), old, 200)
        return problem(415, "UnsupportedMediaType", request.content_type)

    def _store(self, key: Key, new: Object, old: Object | None, status: int) -> web.Response:
        try:
            admit(self.version, key[0], new, old)
        except AdmissionError as refusal:
            return problem(422, "Invalid", str(refusal))
        return web.json_response(self.store.put(key, new), status=status)


def decode(body: bytes) -> Object:
    """An object of a request's body; YAML covers JSON. Managed fields are the server's business and dropped."""
    new: Object = json.loads(body) if body.startswith(b"{") else yaml.safe_load(body)
    if isinstance(new.get("metadata"), dict):
        new["metadata"].pop("managedFields", None)
    return new


def selected(found: Object, request: web.Request) -> bool:
    """Whether an object passes the request's field and label selector (equality only)."""
    meta = found["metadata"]
    for part in filter(None, request.query.get("fieldSelector", "").split(",")):
        field, _, value = part.partition("=")
        if field == "metadata.name" and meta["name"] != value:
            return False
    for part in filter(None, request.query.get("labelSelector", "").split(",")):
        label, _, value = part.partition("=")
        if meta.get("labels", {}).get(label) != value:
            return False
    return True


def problem(status: int, reason: str, message: str) -> web.Response:
    """An error as the API server words it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": status,
    }
    return web.json_response(body, status=status)


@contextmanager
def running(version: str = "1.33", custom: bool = True) -> Iterator[ApiServer]:
    """Runs a double on a free port of loopback.

    Args:
        version: the cluster's major and minor version.
        custom: whether the custom resources (Prometheus, cert-manager, KEDA, Gateway) are installed.
    """
    server = ApiServer(version, custom)
    ready = threading.Event()
    thread = threading.Thread(target=_serve, args=(server, ready), name="api-server", daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the API server's double did not start")
    try:
        yield server
    finally:
        server.loop.call_soon_threadsafe(server.loop.stop)
        thread.join(10)


def _serve(server: ApiServer, ready: threading.Event) -> None:
    asyncio.set_event_loop(server.loop)
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", server.dispatch)
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        server.url = f"http://{host}:{port}"
        ready.set()

    server.loop.run_until_complete(start())
    server.loop.run_forever()
    watches = asyncio.all_tasks(server.loop)
    for task in watches:
        task.cancel()
    server.loop.run_until_complete(asyncio.gather(*watches, return_exceptions=True))
    server.loop.run_until_complete(runner.cleanup())
    server.loop.close()
