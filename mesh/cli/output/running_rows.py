"""The tables of `immich-mesh ps` and `top`."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from mesh.cli.clients.admin_client import EndpointModel
from mesh.cli.output.language import tr
from mesh.cli.output.phrases import localised

STYLES = {"loaded": "green", "downloading": "yellow", "loading": "yellow", "failed": "red"}


def models_table(parts: Sequence[EndpointModel]) -> Table:
    """One row for each part of a model at each endpoint; where it is, when a service has several."""
    several = len({part.endpoint for part in parts}) > len({part.cluster for part in parts})
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (tr("MODEL"), tr("PART"), tr("SERVICE"), tr("STATE")):
        table.add_column(column, no_wrap=True)
    table.add_column(tr("MEMORY"), justify="right", no_wrap=True)
    table.add_column(tr("RUNS ON"), overflow="fold", min_width=8)
    if several:
        table.add_column(tr("AT"), no_wrap=True)
    for part in parts:
        share = f" {part.download_progress:.0%}" if part.state == "downloading" else ""
        state = localised(part.state) + share
        runs_on = part.provider.split(" (")[0].removesuffix("ExecutionProvider")
        cells = [part.name, part.part, part.cluster, f"[{STYLES.get(part.state, 'dim')}]{state}[/]"]
        cells += [f"{part.memory_bytes / 1e6:,.0f} MB" if part.memory_bytes else "", escape(runs_on)]
        table.add_row(*cells, *([part.endpoint] if several else []))
    return table


def clusters_table(
    clusters: Sequence[Mapping[str, Any]], pace: Mapping[str, float], parts: Sequence[EndpointModel] = ()
) -> Table:
    """One row for each endpoint, with what its cluster holds.

    Args:
        pace: requests per second by endpoint.
        parts: of all models; one that failed is told in the words of `ps`, for its service's health says nothing of it.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (tr("SERVICE"), tr("AT"), tr("STATE")):
        table.add_column(column, no_wrap=True)
    for column in (tr("PER SECOND"), tr("UNDER WAY"), tr("HELD"), tr("FAILED")):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for cluster in clusters:
        held = str(sum(cluster["held"].values()))
        for endpoint in cluster["endpoints"]:
            address = endpoint["address"]
            own = [part for part in parts if (part.cluster, part.endpoint) == (cluster["name"], address)]
            state, detail = _condition(endpoint, own)
            table.add_row(
                cluster["name"],
                address,
                state,
                f"{pace[address]:.1f}" if address in pace else "",
                str(endpoint["active"]),
                held,
                str(endpoint["failures"]),
                escape(detail),
            )
    return table


def _condition(endpoint: Mapping[str, Any], parts: Sequence[EndpointModel]) -> tuple[str, str]:
    """State and detail of an endpoint: its health, unless it is healthy and has a model that failed."""
    failed = dict.fromkeys((part.name, part.error) for part in parts if part.state == "failed")
    if endpoint["state"] != "healthy" or not failed:
        return localised(endpoint["state"]), localised(endpoint["detail"] or "")
    serves = any(part.state == "loaded" for part in parts)
    return localised("healthy" if serves else "failed"), "; ".join(": ".join(map(localised, one)) for one in failed)


def rates(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, float]:
    """Requests per second of every endpoint between two looks; one that is new has none."""
    seen = {endpoint["address"]: endpoint["requests"] for cluster in before for endpoint in cluster["endpoints"]}
    return {
        endpoint["address"]: max(0, endpoint["requests"] - seen[endpoint["address"]]) / seconds
        for cluster in after
        for endpoint in cluster["endpoints"]
        if endpoint["address"] in seen
    }
