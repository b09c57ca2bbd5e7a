"""A mesh that runs elsewhere, in containers or on another machine: what its router tells (`doctor --admin-url`)."""

from collections.abc import Iterator
from typing import Any

from mesh.cli.clients.admin_client import AdminClient, ModelList
from mesh.cli.doctor.finding import Finding, Verdict, bad, good, note
from mesh.cli.output.outcome import CommandError

VERDICTS = {True: Verdict.GOOD, None: Verdict.NOTE, False: Verdict.BAD}
LOGS = "see its log (docker compose logs, kubectl logs)"


def check_elsewhere(client: AdminClient) -> Iterator[Finding]:
    """Its services, their models, and Immich behind its front door; one finding where its router does not answer."""
    try:
        clusters, models, immich = client.clusters(), client.models(), client.immich()
    except CommandError as error:
        yield bad("router", str(error), "start it, or correct --admin-url (IMMICH_MESH_ADMIN_URL)")
        return
    yield good("router", f"answers at {client.url}")
    for cluster in clusters:
        yield from _endpoints(cluster)
    yield from _models(models)
    for check in immich:
        yield Finding(VERDICTS[check["ok"]], check["subject"], check["text"], check["remedy"])


def _endpoints(cluster: dict[str, Any]) -> Iterator[Finding]:
    if not cluster["endpoints"]:
        yield bad(
            cluster["name"], "no endpoint is known", f"start the service, or correct the address of {cluster['name']}"
        )
    for endpoint in cluster["endpoints"]:
        text = f"{endpoint['address']}: {endpoint['state']}"
        if endpoint["detail"]:
            text = f"{endpoint['address']}: {endpoint['detail']}"
        if endpoint["state"] == "healthy":
            yield good(cluster["name"], text)
        else:
            yield bad(cluster["name"], text, LOGS)


def _models(models: ModelList) -> Iterator[Finding]:
    for part in models.parts:
        subject, name = f"{part.cluster} model", f"{part.name} ({part.part})"
        if part.state == "failed":
            yield bad(subject, f"{name}: {part.error}", "immich-mesh models list")
        elif part.state == "downloading":
            yield note(subject, f"{name}: {part.state}, {part.download_progress:.0%}", "wait")
        elif part.state == "loaded":
            yield good(subject, f"{name}: {part.state}")
    for cluster, error in models.errors.items():
        yield bad(f"{cluster} model", error, LOGS)
