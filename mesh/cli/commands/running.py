"""`immich-mesh ps`, `load`, `unload`, `top`: what runs, by the admin API of the router, here or elsewhere.

Imports what is heavy inside, so that `--help` comes at once.
"""

import json
import sys
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mesh.cli.output.language import tr
from mesh.cli.output.outcome import CommandError, ExitCode
from mesh.cli.output.phrases import localised

if TYPE_CHECKING:
    from mesh.cli.clients.admin_client import AdminClient, EndpointModel, ModelList
    from mesh.cli.clients.waiting import Waiting

PS_EXAMPLES = """Examples: immich-mesh ps    immich-mesh ps --all    immich-mesh ps --json | jq .models

Services elsewhere are shown as well: the router asks all that it sends requests to."""

LOAD_EXAMPLES = """Examples: immich-mesh load ViT-B-16__cn-clip    immich-mesh load cn-clip/ViT-B-16

A model that is not there is downloaded first."""

UNLOAD_EXAMPLES = """Examples: immich-mesh unload buffalo_l    immich-mesh unload --cluster ocr --all

Its files stay; the next request loads it again."""

TOP_EXAMPLES = """Examples: immich-mesh top    immich-mesh top --json

Ctrl-C ends it. Where the output is no terminal it is shown once."""

POLL_SECONDS = 0.5
TOP_SECONDS = 2.0

AdminOption = Annotated[
    str,
    typer.Option(
        "--admin-url",
        envvar="IMMICH_MESH_ADMIN_URL",
        help="The router's admin page; without one, that of this machine's settings (http://127.0.0.1:9901).",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ClusterOption = Annotated[
    str, typer.Option("--cluster", help="Whose model it is: ocr, clip, face or a cluster of your own.")
]


def ps(
    everything: Annotated[bool, typer.Option("--all", help="Models that are only in the cache, too.")] = False,
    as_json: JsonOption = False,
    admin_url: AdminOption = "",
) -> None:
    """Show which models are loaded, on what they run, and what memory they take."""
    from mesh.cli.output.running_rows import models_table

    with admin(admin_url) as client:
        models = client.models()
    shown = models.parts if everything else _in_use(models)
    if as_json:
        typer.echo(json.dumps({"models": [asdict(part) for part in shown], "errors": models.errors}))
        return
    _print(models_table(shown) if shown else tr("Nothing is loaded: the first request for a model loads it."))
    _complain(models)


def load(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name or alias from `models list --all`.")],
    cluster: ClusterOption = "",
    as_json: JsonOption = False,
    admin_url: AdminOption = "",
) -> None:
    """Load a model into memory, downloading it first if need be."""
    with admin(admin_url) as client:
        cluster, name = whose(client, name, cluster)
        with ThreadPoolExecutor(1) as orders:
            order = orders.submit(client.load, cluster, name)
            if sys.stderr.isatty():
                _show_progress(client, cluster, order)
            _done(order.result(), name, tr("{model} is loaded"), as_json)


def unload(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name or alias.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All models of the cluster.")] = False,
    cluster: ClusterOption = "",
    as_json: JsonOption = False,
    admin_url: AdminOption = "",
) -> None:
    """Take a model out of memory, once the requests that use it are answered."""
    if bool(name) == everything:
        raise CommandError("name a model, or all of a cluster with --all", ExitCode.USAGE)
    if everything and not cluster:
        raise CommandError("--all needs --cluster", ExitCode.USAGE)
    with admin(admin_url) as client:
        if name:
            cluster, name = whose(client, name, cluster)
        what = name or tr("all of {service}").format(service=cluster)
        _done(client.unload(cluster, name), what, tr("{model} is out of memory"), as_json)


def top(as_json: JsonOption = False, admin_url: AdminOption = "") -> None:
    """Show services and loaded models as they change: requests, what is held, memory."""
    import time

    from rich.console import Console, Group
    from rich.live import Live

    from mesh.cli.output.running_rows import clusters_table, models_table, rates

    console = Console(highlight=False)
    with admin(admin_url) as client:
        clusters, models = client.clusters(), client.models()
        if as_json:
            parts = [asdict(part) for part in models.parts]
            typer.echo(json.dumps({"clusters": clusters, "models": parts, "errors": models.errors}))
            return
        if not console.is_terminal:
            console.print(Group(clusters_table(clusters, {}, models.parts), "", models_table(_in_use(models))))
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                before, seen = clusters, time.monotonic()
                time.sleep(TOP_SECONDS)
                clusters, models = client.clusters(), client.models()
                pace = rates(before, clusters, time.monotonic() - seen)
                services = clusters_table(clusters, pace, models.parts)
                live.update(Group(services, "", models_table(_in_use(models))), refresh=True)


def admin(url: str) -> "AdminClient":
    """The admin API at `url`, or at the address of this machine's own settings. Raises CommandError."""
    from mesh.cli.clients.admin_client import AdminClient

    return AdminClient(url or own_admin_url())


def own_admin_url() -> str:
    """Where the admin page of this machine's router is, by its settings. Raises CommandError."""
    from mesh.cli.machine.plan import reachable
    from mesh.cli.machine.settings import load_router_settings

    listener = load_router_settings().listeners.admin
    return f"http://{reachable(listener.host)}:{listener.port}"


def why_it_waits(waiting: "Waiting", router_url: str) -> str:
    """Why a request to a router waits, as far as its admin page can be asked: that of this machine's router."""
    from urllib.parse import urlsplit

    from mesh.cli.clients.router_client import LOOPBACK
    from mesh.cli.clients.waiting import held

    if urlsplit(router_url).hostname not in LOOPBACK:
        return held()
    try:
        with admin("") as client:
            return waiting.reason(client.models())
    except CommandError:
        return held()  # no admin page here: the general reason is all that is known


def whose(client: "AdminClient", name: str, cluster: str) -> tuple[str, str]:
    """The cluster that has a model, and the model's own name. Raises CommandError."""
    from mesh.cli.commands.models import find_entry
    from mesh.cli.machine.settings import FAMILIES

    entry = find_entry(name)
    own = entry.name if entry else name
    if cluster:
        return cluster, own
    having = {part.cluster for part in client.models().parts if part.name == own}
    if not having and entry:
        having = {cluster for cluster, family in FAMILIES.items() if family is entry.family}
    if len(having) == 1:
        return having.pop(), own
    several = f"{', '.join(sorted(having))} have it" if having else "no service has it, and no catalogue"
    raise CommandError(f"whose model is {name!r}? {several}: give --cluster", ExitCode.USAGE)


def _show_progress(client: "AdminClient", cluster: str, order: "Future[tuple[EndpointModel, ...]]") -> None:
    """Says on standard error how far a load is, until it is done or has failed."""
    from rich.console import Console

    from mesh.cli.clients.waiting import Waiting
    from mesh.cli.commands.models import download_bytes

    waiting = Waiting(cluster, download_bytes)
    console = Console(stderr=True, highlight=False)
    with console.status(tr("loading")) as line:
        while not wait([order], timeout=POLL_SECONDS).done:
            line.update(waiting.reason(client.models()))


def _done(parts: "tuple[EndpointModel, ...]", name: str, text: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(part) for part in parts]))
        return
    memory = sum(part.memory_bytes for part in parts if part.name == name)
    typer.echo(text.format(model=name) + (f": {memory / 1e6:,.0f} MB" if memory else ""))


def _in_use(models: "ModelList") -> "list[EndpointModel]":
    """What `ps` and `top` show: not what merely lies in a cache."""
    return [part for part in models.parts if part.state not in {"absent", "cached"}]


def _print(content: object) -> None:
    from rich.console import Console

    Console(highlight=False).print(content)


def _complain(models: "ModelList") -> None:
    """Why models failed, and which services do not answer: too long for a table."""
    for failed in dict.fromkeys((part.name, part.error) for part in models.parts if part.error):
        typer.echo(": ".join(map(localised, failed)), err=True)
    for cluster, error in models.errors.items():
        text = tr("the {service} service does not answer ({reason})")
        typer.echo(text.format(service=cluster, reason=localised(error)), err=True)
