"""A Hugging Face hub on loopback, well-behaved or not: cuts, damage, delays, refusals. Speaks the two calls we use."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tests.waiting import PATIENCE_SECONDS

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Behaviour:
    """How the hub treats requests for one file.

    Attributes:
        cuts: bytes after which the connection ends early, one number per reply until none is left.
        damaged: so many replies have one byte changed.
        refusals: HTTP statuses of the first replies.
        ignores_range: answers every request with the whole file.
        gate: waits for it in the middle of the file.
    """

    cuts: list[int] = field(default_factory=list)
    damaged: int = 0
    refusals: list[int] = field(default_factory=list)
    ignores_range: bool = False
    gate: threading.Event | None = None


@dataclass
class FakeHub:
    """Its repositories, and what was asked of it.

    Attributes:
        frozen: the API's reply to everything, instead of what fits the repositories' content.
        authorizations: the header of that name, of every request.
        frozen_commit: what the API says of every revision; empty for what was asked for.
        hosts: that requests were meant for; another than its own when it serves as a proxy.
        redirect_to: where files really are; empty for here.
        reached: set once a first byte of a file went out.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    sent_bytes: int = 0
    api_refusals: list[int] = field(default_factory=list)
    frozen: dict[str, object] | None = None
    frozen_commit: str = ""
    hosts: set[str] = field(default_factory=set)
    endpoint: str = ""
    redirect_to: str = ""
    reached: threading.Event = field(default_factory=threading.Event)

    def behave(self, path: str) -> Behaviour:
        """The behaviour for a file, to be changed."""
        return self.behaviours.setdefault(path, Behaviour())

    def downloads(self, path: str) -> list[str | None]:
        """The `Range` headers of all requests for a file."""
        return [asked for url, asked in self.requests if re.search(f"/resolve/[0-9a-f]{{40}}/{re.escape(path)}$", url)]

    def describe(self, repository: str) -> dict[str, object]:
        """The reply of the API: large files by sha256, as LFS has it, small ones by git's blob id."""
        siblings: list[dict[str, object]] = []
        for name, content in self.repositories[repository].items():
            git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git}
            if name.endswith(".onnx"):
                entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        return {"id": repository, "sha": COMMIT, "siblings": siblings}


@contextmanager
def fake_hub(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[FakeHub]:
    """Runs a hub with these repositories, `owner/name` -> path -> content, on a free port."""
    hub = FakeHub({name: dict(content) for name, content in repositories.items()})
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        for behaviour in hub.behaviours.values():
            if behaviour.gate is not None:
                behaviour.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Silence: clients that hang up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        self.hub.requests.append((path, self.headers.get("Range")))
        self.hub.hosts.add((self.headers.get("Host") or "").partition(":")[0])
        self.hub.authorizations.append(self.headers.get("Authorization"))
        if path.startswith("api/models/"):
            self._api(path.removeprefix("api/models/"))
            return
        repository, _, below = path.partition("/resolve/")
        name = below.partition("/")[2]
        content = self.hub.repositories.get(repository, {}).get(name)
        if content is not None and self.hub.redirect_to:
            self.send_response(302)
            self.send_header("Location", f"{self.hub.redirect_to}/{path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if content is None:
            self._refuse(404)
            return
        self._file(content, self.hub.behave(name))

    def _api(self, path: str) -> None:
        repository, _, revision = path.partition("/revision/")
        commit = revision if re.fullmatch("[0-9a-f]{40}", revision) else COMMIT
        if self.hub.api_refusals:
            self._refuse(self.hub.api_refusals.pop(0))
        elif repository not in self.hub.repositories:
            self._refuse(401)  # as the real hub answers for what does not exist
        else:
            described = self.hub.frozen or self.hub.describe(repository) | {"sha": self.hub.frozen_commit or commit}
            body = json.dumps(described).encode()
            self._head(200, len(body))
            self.wfile.write(body)

    def _file(self, content: bytes, behaviour: Behaviour) -> None:
        if behaviour.refusals:
            self._refuse(behaviour.refusals.pop(0))
            return
        start = 0
        asked = self.headers.get("Range")
        if asked and not behaviour.ignores_range:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self._refuse(416)
                return
        body = bytearray(content[start:])
        if behaviour.damaged:
            behaviour.damaged -= 1
            body[len(body) // 2] ^= 0xFF
        if start:
            self._head(206, len(body), f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self._head(200, len(body))
        self._send(bytes(body), behaviour)

    def _send(self, body: bytes, behaviour: Behaviour) -> None:
        if behaviour.cuts:
            body = body[: behaviour.cuts.pop(0)]
            self.close_connection = True
        half = len(body) // 2
        for piece in (body[:half], body[half:]):
            self.wfile.write(piece)
            self.wfile.flush()
            self.hub.sent_bytes += len(piece)
            self.hub.reached.set()
            if behaviour.gate is not None and piece is not body[half:]:
                behaviour.gate.wait(PATIENCE_SECONDS)

    def _head(self, status: int, length: int, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def _refuse(self, status: int) -> None:
        self._head(status, 0)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Silence."""
