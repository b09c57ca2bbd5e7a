"""Draws what was found onto the photo: `call --draw`."""

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from mesh.cli.clients.results import FaceAnswer, OcrAnswer
from mesh.cli.output.fonts import find_font, load
from mesh.cli.output.outcome import CommandError, ExitCode

BOX = (0, 122, 255)
LABEL = (255, 255, 255)


def draw_text(photo: bytes, answer: OcrAnswer, target: Path) -> bool:
    """Writes the photo with every line's box and text to `target` (its ending decides the format).

    Returns:
        Whether a font was found that has all characters; else the boxes carry the line's number, as in the table.
    """
    canvas, pen = _open(photo)
    font = find_font("".join(line.text for line in answer.lines))
    for number, line in enumerate(answer.lines, start=1):
        box = _scaled(line.box, canvas, answer.width, answer.height)
        pen.polygon(box, outline=BOX, width=_stroke(canvas))
        height = max(abs(box[3][1] - box[0][1]), abs(box[3][0] - box[0][0]))
        _label(pen, box[0], line.text if font else str(number), _font(font, height * 0.6))
    _save(canvas, target)
    return font is not None


def draw_faces(photo: bytes, answer: FaceAnswer, target: Path) -> None:
    """Writes the photo with every face's box, number and score to `target`."""
    canvas, pen = _open(photo)
    font = find_font("0123456789. ")
    for number, face in enumerate(answer.faces, start=1):
        left, top, right, bottom = face.box
        corners = _scaled(((left, top), (right, bottom)), canvas, answer.width, answer.height)
        pen.rectangle(corners, outline=BOX, width=_stroke(canvas))
        size = max(12.0, (bottom - top) * 0.12)
        _label(pen, corners[0], f"{number} {face.score:.2f}", _font(font, size))
    _save(canvas, target)


def _open(photo: bytes) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """The photo upright, as the boxes mean it, and a pen for it."""
    try:
        canvas = ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise CommandError(f"cannot draw on this photo: {error}", ExitCode.REFUSED) from None
    return canvas, ImageDraw.Draw(canvas)


def _scaled(
    points: tuple[tuple[float, float], ...], canvas: Image.Image, width: int, height: int
) -> list[tuple[float, float]]:
    """Points in the frame of the answer as points of the canvas."""
    return [(x * canvas.width / width, y * canvas.height / height) for x, y in points]


def _stroke(canvas: Image.Image) -> int:
    return max(2, min(canvas.size) // 400)


def _font(path: Path | None, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font, sized in pixels between what can be read and what covers the photo."""
    bounded = round(min(max(size, 10.0), 64.0))
    return (load(path, bounded) if path else None) or ImageFont.load_default(bounded)


def _label(
    pen: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Text on a filled strip that stands on `corner`, moved inside where the photo's top edge would cut it."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    x, y = corner[0], max(0.0, corner[1] - (bottom - top) - 4)
    pen.rectangle((x, y, x + right - left + 6, y + bottom - top + 4), fill=BOX)
    pen.text((x + 3 - left, y + 2 - top), text, fill=LABEL, font=font)


def _save(canvas: Image.Image, target: Path) -> None:
    try:
        canvas.save(target)
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot write {target}: {error}", ExitCode.USAGE) from None
