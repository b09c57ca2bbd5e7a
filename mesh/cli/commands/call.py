"""`immich-mesh call`: one photo or sentence through the mesh, shown for a person (or `--json` for a program).

Imports what is heavy inside, so that `--help` comes at once.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from mesh.cli.clients.client import MeshClient, OcrOptions
from mesh.cli.clients.connection import Connection, connected
from mesh.cli.clients.results import cosine
from mesh.cli.output.help import HelpfulTyper
from mesh.cli.output.language import tr
from mesh.cli.output.outcome import EXIT_CODES_HELP, CommandError, ExitCode
from mesh.cli.output.tables import show_faces, show_fits, show_text, show_vector

app = HelpfulTyper(
    help="Send a photo or a sentence through the mesh and show the answer.",
    epilog=EXIT_CODES_HELP,
)

PhotoArgument = Annotated[
    Path, typer.Argument(metavar="PHOTO", help="A photo: JPEG, PNG, WebP, GIF, BMP or TIFF; - reads standard input.")
]
ModelOption = Annotated[str | None, typer.Option("--model", help="Ask for this model instead of the default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DrawOption = Annotated[
    Path | None, typer.Option("--draw", metavar="OUT.png", help="Draw what was found onto the photo, into this file.")
]

Answer = TypeVar("Answer")


def read_photo(path: Path) -> bytes:
    """The photo's bytes as they are: the mesh judges them, not the command line."""
    try:
        data = typer.get_binary_stream("stdin").read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}", ExitCode.USAGE) from None
    if not data:
        raise CommandError(f"{path} is empty", ExitCode.USAGE)
    return data


def ask(connection: Connection, family: str, call: Callable[[MeshClient], Answer]) -> tuple[Answer, float]:
    """The answer to one call, and the seconds that it took. Who waits long at a terminal is told for what."""
    with closing(connection.client(family)) as client, _explaining(connection, family):
        start = time.perf_counter()
        return call(client), time.perf_counter() - start


@contextmanager
def _explaining(connection: Connection, family: str) -> Iterator[None]:
    """While a call is held: a line on standard error with the reason, kept up to date."""
    console = Console(stderr=True, highlight=False)
    if connection.grpc or not console.is_terminal:
        yield
        return
    from mesh.cli.clients.waiting import Repeated, Waiting
    from mesh.cli.commands.models import download_bytes
    from mesh.cli.commands.running import why_it_waits

    waiting = Waiting(family, download_bytes)
    with console.status("") as line:
        line.stop()

        def say() -> None:
            line.update(tr("Still waiting: {reason}").format(reason=why_it_waits(waiting, connection.url)))
            line.start()

        with Repeated(say):
            yield


@app.command(
    epilog="Examples: immich-mesh call ocr receipt.jpg --draw read.png    immich-mesh call ocr Scans/ --csv text.csv"
)
@connected
def ocr(
    photo: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTO",
            help="A photo: JPEG, PNG, WebP, GIF, BMP or TIFF; - reads standard input; a folder: all photos below it.",
        ),
    ],
    model: ModelOption = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", min=0, max=1, help="Drop lines whose text is less certain.")
    ] = None,
    min_box_score: Annotated[
        float | None, typer.Option("--min-box-score", min=0, max=1, help="Drop lines whose box is less certain.")
    ] = None,
    max_resolution: Annotated[
        int | None, typer.Option("--max-resolution", min=32, help="Short side for detection, in pixels.")
    ] = None,
    draw: DrawOption = None,
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="OUT.csv", help="Of a folder: write the text into this file, line by line."),
    ] = None,
    as_json: JsonOption = False,
    *,
    connection: Connection,
) -> None:
    """Read the text of a photo, or of all photos of a folder."""
    options = OcrOptions(model, min_box_score, min_score, max_resolution)
    if photo.is_dir():
        if draw is not None:
            raise CommandError("--draw is for one photo", ExitCode.USAGE)
        from mesh.cli.commands.call_folder import read_folder

        with closing(connection.client("ocr")) as client:
            read_folder(photo, lambda path: client.recognize(read_photo(path), options), table, as_json)
        return
    if table is not None:
        raise CommandError("--csv is for a folder; --json for one photo", ExitCode.USAGE)
    data = read_photo(photo)
    answer, seconds = ask(connection, "ocr", lambda client: client.recognize(data, options))
    if as_json:
        print_json(asdict(answer))
    else:
        show_text(answer, seconds)
    if draw is not None:
        from mesh.cli.output.drawing import draw_text  # Pillow, for those who draw

        complete = draw_text(data, answer, draw)
        text = tr("Drawn into {file}.").format(file=draw)
        remedy = tr("No font here has all of its characters, so boxes carry numbers: apt install fonts-noto-cjk.")
        print_note(text if complete else f"{text} {remedy}")


@app.command(epilog="Example: immich-mesh call face family.jpg --min-score 0.6 --draw faces.png")
@connected
def face(
    photo: PhotoArgument,
    model: ModelOption = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", min=0, max=1, help="Drop what is less certain.")
    ] = None,
    draw: DrawOption = None,
    as_json: JsonOption = False,
    *,
    connection: Connection,
) -> None:
    """Find the faces of a photo."""
    data = read_photo(photo)
    answer, seconds = ask(connection, "face", lambda client: client.detect(data, model, min_score))
    if as_json:
        print_json(asdict(answer))
    else:
        show_faces(answer, seconds)
    if draw is not None:
        from mesh.cli.output.drawing import draw_faces  # Pillow, for those who draw

        draw_faces(data, answer, draw)
        print_note(tr("Drawn into {file}.").format(file=draw))


@app.command(epilog="Example: immich-mesh call clip dog.jpg --json")
@connected
def clip(
    photo: PhotoArgument, model: ModelOption = None, as_json: JsonOption = False, *, connection: Connection
) -> None:
    """Encode a photo as a CLIP vector."""
    data = read_photo(photo)
    answer, seconds = ask(connection, "clip", lambda client: client.encode_image(data, model))
    if as_json:
        print_json(asdict(answer))
    else:
        show_vector(answer, seconds)


@app.command(epilog='Example: immich-mesh call text "一只狗" --against dog.jpg --against cat.jpg')
@connected
def text(
    sentence: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for, in any language of the model.")],
    against: Annotated[
        list[Path] | None, typer.Option("--against", metavar="PHOTO", help="Rank these photos by how well they fit.")
    ] = None,
    model: ModelOption = None,
    language: Annotated[str, typer.Option("--language", help="BCP 47 tag of the text's language, e.g. zh-CN.")] = "",
    as_json: JsonOption = False,
    *,
    connection: Connection,
) -> None:
    """Encode a sentence as a CLIP vector, or rank photos by it."""
    photos = [(path, read_photo(path)) for path in against or []]
    answer, seconds = ask(connection, "clip", lambda client: client.encode_text(sentence, model, language))

    def compare(client: MeshClient) -> list[tuple[float, Path]]:
        found = [(cosine(answer.embedding, client.encode_image(data, model).embedding), path) for path, data in photos]
        return sorted(found, key=lambda fit: -fit[0])

    fits, _ = ask(connection, "clip", compare) if photos else ([], 0.0)
    if as_json:
        ranked = [{"photo": str(path), "cosine": fit} for fit, path in fits]
        print_json(asdict(answer) | ({"photos": ranked} if photos else {}))
    elif photos:
        show_fits(sentence, fits)
    else:
        show_vector(answer, seconds)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_note(text: str) -> None:
    """A remark on standard error, so that standard output holds the answer alone."""
    typer.echo(text, err=True)
