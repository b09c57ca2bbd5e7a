"""`immich-mesh models`: which models there are, which are here, and how they come here.

Imports what is heavy inside, so that `--help` comes at once.
"""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mesh.cli.output.help import HelpfulTyper
from mesh.cli.output.language import tr
from mesh.cli.output.outcome import EXIT_CODES_HELP, CommandError, ExitCode
from mesh.cli.output.phrases import localised

if TYPE_CHECKING:
    from mesh.cli.output.model_rows import ModelRow
    from mesh.hub.catalogue import Family, ModelEntry
    from mesh.hub.store import ModelStore

app = HelpfulTyper(
    help="List, download, import and export models.",
    epilog=EXIT_CODES_HELP,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name or alias from `models list --all`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache-folder", help="Folder of the models; default: the services' setting.")
]

ROOMY, WIDE = 96, 122
"""Columns of a terminal from which languages, and also licences, are shown."""

LIST_EXAMPLES = """Examples: immich-mesh models list    immich-mesh models list --all --family clip

State: loaded (in a running service's memory), cached (on this machine), bundled (in an installed package), - (can be \
pulled), export (must be made of its checkpoint). A wide terminal, and --json, also show languages and licences."""

PULL_EXAMPLES = """Examples: immich-mesh models pull cn-clip/ViT-B-16    immich-mesh models pull buffalo_l

Interrupted downloads go on where they ended. HF_ENDPOINT names a mirror of the hub, HTTPS_PROXY a proxy."""

IMPORT_EXAMPLES = """Examples: immich-mesh models import cn-clip/ViT-B-16 ~/Downloads/cn-clip
immich-mesh models import buffalo_l ~/.insightface/models/buffalo_l

For machines without a network: the folder holds the files that `models pull` would download, or the model in \
Immich's layout. They are copied, and converted where that is needed."""

QUANTISE_EXAMPLES = """Examples: immich-mesh models quantise buffalo_l ~/Pictures
immich-mesh models quantise cn-clip/ViT-B-16 ~/Pictures --photos 200

Needs the extras `quantise` (nncf) and `openvino`. A service takes it with PRECISION=int8 on a processor with \
VNNI, where its cosine with fp32 is 0.99 or more on photos that it did not learn from."""

EXPORT_EXAMPLES = """Examples: immich-mesh models export cn-clip/ViT-B-16
immich-mesh models export cn-clip/ViT-H-14 --checkpoint clip_cn_vit-h-14.pt --fp16

Needs the extra `export` (torch, cn-clip). Without --checkpoint the official file is downloaded first."""


@app.command("list", epilog=LIST_EXAMPLES)
def list_models(
    family: Annotated[str | None, typer.Option("--family", help="Only ocr, clip or face.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Immich's own CLIP models too, cached or not.")] = False,
    as_json: JsonOption = False,
    cache_folder: CacheOption = None,
) -> None:
    """Show the models: loaded, cached, size, dimension, languages, licence."""
    from mesh.cli.machine.settings import FAMILIES
    from mesh.cli.output.model_rows import collect_rows

    if family is not None and family not in FAMILIES:
        raise CommandError(f"--family is one of {', '.join(FAMILIES)}, not {family}", ExitCode.USAGE)
    rows = collect_rows(_stores(cache_folder), FAMILIES[family] if family else None)
    shown = [row for row in rows if everything or as_json or row.recommended or row.state != "-"]
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in shown], indent=2, ensure_ascii=False))
        return
    console = Console()
    console.print(_table(shown, console.width))
    if hidden := len(rows) - len(shown):
        more = tr("{count} more of Immich's own CLIP models: immich-mesh models list --all")
        console.print(more.format(count=hidden), style="dim")


@app.command("pull", epilog=PULL_EXAMPLES)
def pull(name: NameArgument, as_json: JsonOption = False, cache_folder: CacheOption = None) -> None:
    """Download a model into the cache; nothing is done when it is there."""
    from mesh.cli.output.download_bar import download_bar

    entry = _entry(name)
    store = _stores(cache_folder)[entry.family]
    with download_bar(entry.name) as progress:
        folder = store.fetch(entry.family, entry.name, progress)
    _tell_place(entry.name, folder, as_json)


@app.command("import", epilog=IMPORT_EXAMPLES)
def import_model(
    name: NameArgument,
    source: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the files are.", exists=True, file_okay=False)
    ],
    as_json: JsonOption = False,
    cache_folder: CacheOption = None,
) -> None:
    """Take files that were downloaded by hand into the cache."""
    from mesh.cli.output.download_bar import download_bar

    entry = _entry(name)
    store = _stores(cache_folder)[entry.family]
    with download_bar(entry.name) as progress:
        folder = store.adopt(entry.family, entry.name, source, progress)
    _tell_place(entry.name, folder, as_json)


@app.command("quantise", epilog=QUANTISE_EXAMPLES)
def quantise_model(
    name: NameArgument,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Photos to learn from.", exists=True, file_okay=False)
    ],
    photos: Annotated[int, typer.Option("--photos", min=1, help="How many, spread over the folder.")] = 100,
    as_json: JsonOption = False,
    cache_folder: CacheOption = None,
) -> None:
    """Make the int8 version of a model in the cache, for PRECISION=int8."""
    from mesh.cli.commands import quantise

    entry = _entry(name)
    made = quantise.quantise(entry, _stores(cache_folder)[entry.family], folder, photos, _tell)
    if as_json:
        typer.echo(json.dumps({"name": entry.name, "graphs": quantise.as_json(made)}))
        return
    for part, manifest in made.items():
        typer.echo(quantise.sentence(part, manifest))


@app.command("export", epilog=EXPORT_EXAMPLES)
def export_model(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="cn-clip/ViT-B-16, ViT-L-14, ViT-L-14-336, ViT-H-14 or RN50.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE.pt", help="An official file, or one fine-tuned from it."),
    ] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Also write half-precision graphs, for GPUs.")] = False,
    as_json: JsonOption = False,
    cache_folder: CacheOption = None,
) -> None:
    """Convert an official Chinese-CLIP checkpoint, and verify the result against it."""
    from mesh.cli.output.download_bar import download_bar
    from mesh.hub import catalogue
    from mesh.hub.catalogue import Family
    from mesh.hub.clip_export import cn_clip, export

    chosen = export.architecture(name)
    cn_clip.package()  # says what is missing before anything is downloaded
    store = _stores(cache_folder)[Family.CLIP]
    if checkpoint is None:
        entry = catalogue.find(Family.CLIP, f"cn-clip/{chosen.name}")
        assert entry is not None
        with download_bar(chosen.checkpoint) as progress:
            checkpoint = store.fetch_checkpoint(entry, progress)
    result = export.export(chosen, checkpoint, store.cache_folder, fp16=fp16, tell=_tell)
    if as_json:
        payload = {"name": result.folder.name, "folder": str(result.folder), "cosines": result.cosines}
        typer.echo(json.dumps(payload))
        return
    for graph, cosine in result.cosines.items():
        least = f"{min(1.0, math.floor(cosine * 1e7) / 1e7):.7f}"
        typer.echo(tr("{graph}: cosine with torch at least {cosine}").format(graph=graph, cosine=least))
    typer.echo(tr("tokenizer: equal on {count} strings").format(count=result.strings))
    typer.echo(tr("{model} is in {folder}").format(model=result.folder.name, folder=result.folder))


def _tell_place(name: str, folder: Path, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"name": name, "folder": str(folder)}))
    else:
        typer.echo(tr("{model} is in {folder}").format(model=name, folder=folder))


def _tell(step: str) -> None:
    typer.echo(f"{localised(step)} ...", err=True)


def find_entry(name: str) -> "ModelEntry | None":
    """The catalogue's model of any family by that name or alias."""
    from mesh.hub import catalogue
    from mesh.hub.catalogue import Family

    return next((entry for family in Family if (entry := catalogue.find(family, name)) is not None), None)


def download_bytes(name: str) -> int:
    """What a model's download comes to, by the catalogue; 0 where it does not know."""
    entry = find_entry(name)
    return entry.size_bytes if entry else 0


def _entry(name: str) -> "ModelEntry":
    """The model of any family by that name. Raises CommandError with names that are alike."""
    import difflib

    from mesh.hub import catalogue

    if (entry := find_entry(name)) is not None:
        return entry
    known = [known for entry in catalogue.entries() for known in (entry.name, *entry.aliases)]
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "see immich-mesh models list --all"
    raise CommandError(f"no model is called {name!r}: {hint}", ExitCode.REFUSED)


def _stores(cache_folder: Path | None) -> "dict[Family, ModelStore]":
    """The services' stores, by their own settings. A person reads along: of what they log, warnings are shown."""
    from mesh.cli.machine.settings import all_service_settings
    from mesh.core.logs import configure_logs
    from mesh.core.settings import LogFormat
    from mesh.hub.store import ModelStore

    configure_logs("WARNING", LogFormat.PRETTY, "models")
    return {family: ModelStore.of(settings, cache_folder) for family, settings in all_service_settings().items()}


def _table(rows: "list[ModelRow]", width: int) -> Table:
    """As many of the columns as a terminal of `width` has room for; names are never cut."""
    from mesh.cli.machine.settings import FAMILIES

    names = {family: name for name, family in FAMILIES.items()}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (tr("NAME"), tr("FAMILY"), tr("STATE")):
        table.add_column(column, no_wrap=True)
    for column in (tr("SIZE"), tr("DIMENSION")):
        table.add_column(column, justify="right", no_wrap=True)
    roomy, wide = width >= ROOMY, width >= WIDE
    if roomy:
        table.add_column(tr("LANGUAGES"), no_wrap=True, overflow="ellipsis", max_width=16)
    if wide:
        table.add_column(tr("LICENCE"), no_wrap=True, overflow="ellipsis", max_width=24)
    for row in rows:
        style = {"loaded": "green", "cached": "", "bundled": ""}.get(row.state, "dim")
        size = f"{row.size_bytes / 1e6:,.0f} MB" if row.size_bytes >= 1e6 else f"{row.size_bytes / 1e3:,.0f} kB"
        cells = [row.name, names[row.family], localised(row.state), size, str(row.dimension or "")]
        cells += [" ".join(row.languages)] if roomy else []
        cells += [row.licence] if wide else []
        table.add_row(*cells, style=style)
    return table
