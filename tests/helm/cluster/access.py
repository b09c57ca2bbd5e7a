"""The API server as pods see it: over TLS, by the token of their account, within the rules of its roles."""

import base64
import json
import secrets
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.helm.cluster.sandbox import VENV
from tests.helm.cluster.store import Object, Store

ROOT = Path(__file__).resolve().parents[3]
HOST = "kubernetes.default.svc"
PORT = 6443


@dataclass(frozen=True)
class Account:
    """A ServiceAccount."""

    namespace: str
    name: str


class Access:
    """Who may do what.

    Attributes:
        authority: PEM of the authority that signed the server's certificate.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._accounts: dict[str, Account] = {}
        done = subprocess.run(
            [VENV / "bin/python", "-m", "tests.helm.cluster.certificates", HOST],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        files = {name: base64.b64decode(text) for name, text in json.loads(done.stdout).items()}
        self.authority = files["ca.crt"]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for name in ("tls.crt", "tls.key"):
            (folder / name).write_bytes(files[name])
        self.context.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    def token(self, account: Account) -> str:
        """A new token of an account."""
        made = secrets.token_hex(16)
        self._accounts[made] = account
        return made

    def may(self, request: web.Request, group: str, namespace: str, plural: str) -> bool:
        """Whether the request's account has a role that allows it."""
        account = self._accounts.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        verb = "watch" if request.query.get("watch") in ("1", "true") else {"GET": "list"}.get(request.method, "write")
        return account is not None and any(
            group in rule["apiGroups"] and plural in rule["resources"] and verb in rule["verbs"]
            for rule in self._rules(account, namespace)
        )

    def _rules(self, account: Account, namespace: str) -> list[Object]:
        subject = {"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}
        found: list[Object] = []
        for binding in self._kind("RoleBinding", namespace):
            if subject in binding["subjects"]:
                found += [
                    rule
                    for role in self._kind("Role", namespace)
                    if role["metadata"]["name"] == binding["roleRef"]["name"]
                    for rule in role["rules"]
                ]
        return found

    def _kind(self, kind: str, namespace: str) -> list[Object]:
        return [
            one for one in self._store.everything() if one["kind"] == kind and one["metadata"]["namespace"] == namespace
        ]


async def listen(dispatch: Any, access: Access, address: str) -> web.AppRunner:
    """Opens the API to pods at that address; `dispatch` is asked once an account may."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        # /apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL
        parts = request.path.strip("/").split("/")
        if parts[0] == "apis" and len(parts) == 6 and access.may(request, parts[1], parts[4], parts[5]):
            return await dispatch(request)
        return web.json_response({"kind": "Status", "code": 403, "message": f"{request.path} is forbidden"}, status=403)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", guarded)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, address, PORT, ssl_context=access.context)
    await site.start()
    return runner
