"""`immich-mesh call`: one photo or sentence through the mesh, shown for a person (or `--json` for a program).

Imports what is heavy inside, so that `--help` comes at once.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from launcher.answers import ClipAnswer, FaceAnswer, OcrAnswer, cosine, length
from launcher.client import MeshClient, OcrOptions
from launcher.outcome import EXIT_CODES_HELP, CommandError, ExitCode

app = typer.Typer(
    no_args_is_help=True,
    help="Send a photo or a sentence through the mesh and show the answer.",
    epilog=EXIT_CODES_HELP,
    rich_markup_mode="rich",
)

SERVICE_ADDRESSES = {"ocr": "127.0.0.1:50051", "clip": "127.0.0.1:50052", "face": "127.0.0.1:50053"}

PhotoArgument = Annotated[
    Path, typer.Argument(metavar="PHOTO", help="A photo: JPEG, PNG, WebP, GIF, BMP or TIFF; - reads standard input.")
]
UrlOption = Annotated[
    str, typer.Option("--url", envvar="IMMICH_MESH_URL", help="The router's address.", rich_help_panel="Connection")
]
GrpcOption = Annotated[
    bool, typer.Option("--grpc", help="Ask the service directly, past the router.", rich_help_panel="Connection")
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="HOST:PORT of the service, with --grpc.", rich_help_panel="Connection"),
]
TokenOption = Annotated[
    str | None,
    typer.Option("--token", envvar="MESH_AUTH_TOKEN", help="Bearer token, with --grpc.", rich_help_panel="Connection"),
]
TlsOption = Annotated[
    Path | None,
    typer.Option("--tls-ca", help="Authority (PEM) to trust: TLS, with --grpc.", rich_help_panel="Connection"),
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the answer.", rich_help_panel="Connection")
]
ModelOption = Annotated[str | None, typer.Option("--model", help="Ask for this model instead of the default.")]
ScoreOption = Annotated[float | None, typer.Option("--min-score", min=0, max=1, help="Drop what is less certain.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DrawOption = Annotated[
    Path | None, typer.Option("--draw", metavar="OUT.png", help="Draw what was found onto the photo, into this file.")
]

DEFAULT_URL = "http://127.0.0.1:3003"
Answer = TypeVar("Answer")


def open_client(
    family: str, url: str, grpc: bool, address: str | None, token: str | None, tls: Path | None, timeout: float
) -> MeshClient:
    """A client of the router, or of the family's service with `grpc`."""
    if not grpc:
        if address or tls:
            raise CommandError("--address and --tls-ca need --grpc", ExitCode.USAGE)
        from launcher.router_client import RouterClient

        return RouterClient(url, timeout)
    from common.settings import TlsSettings
    from launcher.service_client import ServiceClient

    if tls is not None and not tls.is_file():
        raise CommandError(f"there is no file {tls}", ExitCode.USAGE)
    settings = TlsSettings(ca_file=tls) if tls else None
    return ServiceClient(address or SERVICE_ADDRESSES[family], timeout, settings, token)


def read_photo(path: Path) -> bytes:
    """The photo's bytes as they are: the mesh judges them, not the command line."""
    try:
        data = typer.get_binary_stream("stdin").read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror or error}", ExitCode.USAGE) from None
    if not data:
        raise CommandError(f"{path} is empty", ExitCode.USAGE)
    return data


def timed(call: Callable[[], Answer]) -> tuple[Answer, float]:
    """The answer, and the seconds that it took."""
    start = time.perf_counter()
    return call(), time.perf_counter() - start


@app.command(epilog="Example: immich-mesh call ocr receipt.jpg --draw read.png")
def ocr(
    photo: PhotoArgument,
    url: UrlOption = DEFAULT_URL,
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
    as_json: JsonOption = False,
    grpc: GrpcOption = False,
    address: AddressOption = None,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    timeout: TimeoutOption = 300.0,
) -> None:
    """Read the text of a photo."""
    data = read_photo(photo)
    client = open_client("ocr", url, grpc, address, token, tls_ca, timeout)
    options = OcrOptions(model, min_box_score, min_score, max_resolution)
    answer, seconds = timed(lambda: client.recognize(data, options))
    client.close()
    if as_json:
        print_json(asdict(answer))
    else:
        show_text(answer, seconds)
    if draw is not None:
        from launcher.drawing import draw_text  # Pillow, for those who draw

        complete = draw_text(data, answer, draw)
        told = f"Drawn into {draw}."
        remedy = " No font here has all of its characters, so boxes carry numbers: apt install fonts-noto-cjk."
        print_note(told if complete else told + remedy)


@app.command(epilog="Example: immich-mesh call face family.jpg --min-score 0.6 --draw faces.png")
def face(
    photo: PhotoArgument,
    url: UrlOption = DEFAULT_URL,
    model: ModelOption = None,
    min_score: ScoreOption = None,
    draw: DrawOption = None,
    as_json: JsonOption = False,
    grpc: GrpcOption = False,
    address: AddressOption = None,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    timeout: TimeoutOption = 300.0,
) -> None:
    """Find the faces of a photo."""
    data = read_photo(photo)
    client = open_client("face", url, grpc, address, token, tls_ca, timeout)
    answer, seconds = timed(lambda: client.detect(data, model, min_score))
    client.close()
    if as_json:
        print_json(asdict(answer))
    else:
        show_faces(answer, seconds)
    if draw is not None:
        from launcher.drawing import draw_faces  # Pillow, for those who draw

        draw_faces(data, answer, draw)
        print_note(f"Drawn into {draw}.")


@app.command(epilog="Example: immich-mesh call clip dog.jpg --json")
def clip(
    photo: PhotoArgument,
    url: UrlOption = DEFAULT_URL,
    model: ModelOption = None,
    as_json: JsonOption = False,
    grpc: GrpcOption = False,
    address: AddressOption = None,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    timeout: TimeoutOption = 300.0,
) -> None:
    """Encode a photo as a CLIP vector."""
    data = read_photo(photo)
    client = open_client("clip", url, grpc, address, token, tls_ca, timeout)
    answer, seconds = timed(lambda: client.encode_image(data, model))
    client.close()
    if as_json:
        print_json(asdict(answer))
    else:
        show_vector(answer, seconds)


@app.command(epilog='Example: immich-mesh call text "一只狗" --against dog.jpg --against cat.jpg')
def text(
    sentence: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for, in any language of the model.")],
    against: Annotated[
        list[Path] | None, typer.Option("--against", metavar="PHOTO", help="Rank these photos by how well they fit.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    model: ModelOption = None,
    language: Annotated[str, typer.Option("--language", help="BCP 47 tag of the text's language, e.g. zh-CN.")] = "",
    as_json: JsonOption = False,
    grpc: GrpcOption = False,
    address: AddressOption = None,
    token: TokenOption = None,
    tls_ca: TlsOption = None,
    timeout: TimeoutOption = 300.0,
) -> None:
    """Encode a sentence as a CLIP vector, or rank photos by it."""
    photos = [(path, read_photo(path)) for path in against or []]
    client = open_client("clip", url, grpc, address, token, tls_ca, timeout)
    answer, seconds = timed(lambda: client.encode_text(sentence, model, language))
    fits = [(cosine(answer.embedding, client.encode_image(data, model).embedding), path) for path, data in photos]
    client.close()
    fits.sort(key=lambda fit: -fit[0])
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


def show_text(answer: OcrAnswer, seconds: float) -> None:
    """The lines as a table."""
    table = Table(title=f"{answer.width} x {answer.height} pixels, {seconds:.2f} s", title_justify="left")
    table.add_column("#", justify="right", style="dim")
    table.add_column("text", overflow="fold")
    table.add_column("certain", justify="right")
    table.add_column("box certain", justify="right")
    table.add_column("top left", justify="right", style="dim")
    for number, line in enumerate(answer.lines, start=1):
        x, y = line.box[0]
        table.add_row(
            str(number),
            line.text.replace("[", r"\["),
            f"{line.recognition_score:.2f}",
            f"{line.detection_score:.2f}",
            f"{x:.0f}, {y:.0f}",
        )
    show(table if answer.lines else f"No text ({answer.width} x {answer.height} pixels, {seconds:.2f} s).")


def show_faces(answer: FaceAnswer, seconds: float) -> None:
    """The faces as a table."""
    table = Table(title=f"{answer.width} x {answer.height} pixels, {seconds:.2f} s", title_justify="left")
    for title in ("#", "certain", "left, top", "size", "embedding"):
        table.add_column(title, justify="right")
    for number, found in enumerate(answer.faces, start=1):
        left, top, right, bottom = found.box
        table.add_row(
            str(number),
            f"{found.score:.2f}",
            f"{left:.0f}, {top:.0f}",
            f"{right - left:.0f} x {bottom - top:.0f}",
            f"{len(found.embedding)} numbers",
        )
    show(table if answer.faces else f"No face ({answer.width} x {answer.height} pixels, {seconds:.2f} s).")


def show_vector(answer: ClipAnswer, seconds: float) -> None:
    """The vector's facts and its beginning."""
    begin = ", ".join(f"{value:+.4f}" for value in answer.embedding[:6])
    show(f"{len(answer.embedding)} numbers, length {length(answer.embedding):.4f}, {seconds:.2f} s: {begin}, ...")


def show_fits(sentence: str, fits: list[tuple[float, Path]]) -> None:
    """Photos, the best first."""
    table = Table(title=f"How well photos fit “{sentence}”", title_justify="left")
    table.add_column("cosine", justify="right")
    table.add_column("photo", overflow="fold")
    for fit, path in fits:
        table.add_row(f"{fit:.4f}", str(path))
    show(table)


def show(content: Table | str) -> None:
    """Prints for a person; plain where the output is no terminal."""
    Console(highlight=False, markup=isinstance(content, Table)).print(content)
