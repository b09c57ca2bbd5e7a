"""Boxes and texts on the photo, and the font that has the characters."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFont

from mesh.cli.clients.results import AnsweredFace, AnsweredLine, FaceAnswer, OcrAnswer
from mesh.cli.output import drawing, fonts
from mesh.cli.output.outcome import CommandError

BOX = ((20.0, 40.0), (180.0, 40.0), (180.0, 80.0), (20.0, 80.0))


def photo(width: int = 200, height: int = 100, orientation: int | None = None) -> bytes:
    """A white JPEG."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", (width, height), "white").save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def blue(path: Path) -> Image.Image:
    """Where the drawing is blue, as a mask."""
    picture = Image.open(path).convert("RGB")
    red, _, blue_channel = picture.split()
    return ImageChops.multiply(blue_channel.point(lambda v: 255 * (v > 200)), red.point(lambda v: 255 * (v < 60)))


def test_lines_are_drawn_where_they_are(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    drawing.draw_text(photo(), OcrAnswer((AnsweredLine("text", BOX, 0.9, 0.9),), 200, 100), target)
    mask = blue(target)
    assert mask.getpixel((100, 80)) == 255, "the box's lower edge"
    assert mask.getpixel((100, 60)) == 0, "the box is not filled"
    assert mask.getpixel((22, 36)) == 255, "the label stands on the box"


def test_boxes_are_meant_after_rotation(tmp_path: Path) -> None:
    """The stored pixels lie on their side (orientation 6); the answer's frame is the upright photo."""
    target = tmp_path / "out.png"
    face = AnsweredFace((10, 150, 60, 190), 0.9, (1.0,))
    drawing.draw_faces(photo(200, 100, orientation=6), FaceAnswer((face,), 100, 200), target)
    assert Image.open(target).size == (100, 200)
    assert blue(target).getpixel((35, 190)) == 255


def test_without_a_font_for_the_text_boxes_carry_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "find_font", lambda _: None)
    answer = OcrAnswer((AnsweredLine("发票", BOX, 0.9, 0.9),), 200, 100)
    assert not drawing.draw_text(photo(), answer, tmp_path / "out.png")
    assert blue(tmp_path / "out.png").getbbox() is not None


def test_a_font_covers_what_it_has_glyphs_for() -> None:
    latin = ImageFont.load_default(16)
    assert isinstance(latin, ImageFont.FreeTypeFont)
    assert fonts.covers(latin, "abc XYZ 123")
    assert not fonts.covers(latin, "发票")


def test_a_font_that_the_user_names_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMICH_MESH_FONT", str(tmp_path / "mine.ttf"))
    assert next(fonts.candidates()) == tmp_path / "mine.ttf"


def test_no_font_is_found_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FOLDERS", (str(tmp_path),))
    monkeypatch.delenv("IMMICH_MESH_FONT", raising=False)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert fonts.find_font("text") is None


def test_a_photo_that_is_none_and_a_folder_that_is_not_there_are_told(tmp_path: Path) -> None:
    empty = OcrAnswer((), 200, 100)
    with pytest.raises(CommandError, match="cannot draw on this photo"):
        drawing.draw_text(b"no photo", empty, tmp_path / "out.png")
    with pytest.raises(CommandError, match="cannot write"):
        drawing.draw_text(photo(), empty, tmp_path / "missing" / "out.png")
    with pytest.raises(CommandError, match="cannot write"):
        drawing.draw_text(photo(), empty, tmp_path / "out.unknown")
