"""Crops are read the right way up with as few readings as that takes."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from mesh.serving.images import Pixels
from ocr_service.detection.quads import turned
from ocr_service.recognition.crops import Crop, cut
from ocr_service.recognition.orientation import ROUND, VOTERS, read_upright
from ocr_service.recognition.recogniser import SQUEEZE, Reading, TextRecogniser

UPRIGHT = Reading("upright line", 0.97)


class FakeRecogniser:
    """Reads well what is upright: a crop whose top left pixel is bright."""

    def __init__(self, garbage: Reading, upright: Reading = UPRIGHT) -> None:
        self.garbage, self.upright = garbage, upright
        self.wide = GARBAGE
        self.reads = self.votes = 0

    async def read(self, lines: Sequence[Pixels], language: str = "", *, squeeze: float = SQUEEZE) -> list[Reading]:
        if squeeze == 1:
            return [self.wide for _ in lines]
        self.reads += len(lines)
        self.votes += len(lines) == 1
        return [self.upright if line[0, 0, 0] > 128 else self.garbage for line in lines]

    def as_recogniser(self) -> TextRecogniser:
        return cast("TextRecogniser", cast("Any", self))


def crop(*, upside_down: bool = False, turns: int = 0) -> Crop:
    pixels = np.zeros((20, 120, 3), np.uint8)
    pixels[:, :60] = 255
    return Crop(np.ascontiguousarray(pixels[::-1, ::-1]) if upside_down else pixels, turns)


GARBAGE = Reading("jnbw uvop jnq", 0.6)


async def test_upright_lines_are_read_once() -> None:
    recogniser = FakeRecogniser(GARBAGE)
    lines = await read_upright(recogniser.as_recogniser(), [crop() for _ in range(9)], "")
    assert [line.turns for line in lines] == [0] * 9
    assert recogniser.reads == 9


async def test_one_certain_vote_decides_for_all() -> None:
    recogniser = FakeRecogniser(GARBAGE)
    lines = await read_upright(recogniser.as_recogniser(), [crop(upside_down=True) for _ in range(9)], "")
    assert [line.turns for line in lines] == [2] * 9
    assert {line.reading.text for line in lines} == {"upright line"}
    assert recogniser.reads == 9 + 1


async def test_two_certain_votes_of_few_letters_are_added_up() -> None:
    recogniser = FakeRecogniser(GARBAGE, Reading("关闭", 0.99))
    lines = await read_upright(recogniser.as_recogniser(), [crop(upside_down=True) for _ in range(9)], "")
    assert [line.turns for line in lines] == [2] * 9


async def test_text_that_nobody_can_read_stays_upright() -> None:
    blind = FakeRecogniser(GARBAGE, Reading("LBBLRNLS", 0.96))
    lines = await read_upright(blind.as_recogniser(), [crop(upside_down=True) for _ in range(9)], "")
    assert [line.turns for line in lines] == [0] * 9
    assert blind.votes == 2 * VOTERS, "each of them is read both ways"


@pytest.mark.parametrize(
    ("upright", "upside_down"),
    [
        ("86", "98"),
        ("66.90", "06.99"),
        ("1.00", "007"),
        ("SOS", "505"),
        ("￥￥￥", "夫夫夫"),
        ("♥♥♥", "人人人"),
        ("♪♪♪", "555"),
    ],
)
async def test_numbers_and_marks_have_no_vote(upright: str, upside_down: str) -> None:
    class Numbers(FakeRecogniser):
        async def read(self, lines: Sequence[Pixels], language: str = "", *, squeeze: float = SQUEEZE) -> list[Reading]:
            return [Reading(upright, 0.5) if line[0, 0, 0] > 128 else Reading(upside_down, 1.0) for line in lines]

    lines = await read_upright(Numbers(GARBAGE).as_recogniser(), [crop() for _ in range(3)], "")
    assert {line.reading.text for line in lines} == {upright}


async def test_no_line_lies_otherwise_where_the_photo_has_a_direction() -> None:
    crops = [crop() for _ in range(8)] + [crop(upside_down=True)]
    lines = await read_upright(FakeRecogniser(GARBAGE).as_recogniser(), crops, "")
    assert [line.turns for line in lines] == [0] * 9


@pytest.mark.parametrize("signs", [0, 1])
async def test_a_texture_is_read_upside_down_in_part_unless_a_sign_is_found(signs: int) -> None:
    long, shape = (Crop(np.zeros((20, width, 3), np.uint8), 0) for width in (120, 30))
    crops = [long] * VOTERS + [shape] * 40 + [crop(upside_down=True)] * signs
    recogniser = FakeRecogniser(Reading("OO", 0.6), Reading("营业", 0.99))
    lines = await read_upright(recogniser.as_recogniser(), crops, "")
    assert [line.turns for line in lines] == [0] * (VOTERS + 40) + [2] * signs
    assert recogniser.reads - len(crops) == VOTERS + (40 + signs if signs else ROUND)


async def test_a_stray_character_is_no_evidence() -> None:
    recogniser = FakeRecogniser(Reading("5", 0.99))
    lines = await read_upright(recogniser.as_recogniser(), [crop(upside_down=True)], "")
    assert [(line.turns, line.reading.text) for line in lines] == [(2, "upright line")]


async def test_directions_vote_apart() -> None:
    crops = [crop(turns=1, upside_down=True), crop(), crop(turns=1, upside_down=True)]
    lines = await read_upright(FakeRecogniser(GARBAGE).as_recogniser(), crops, "")
    assert [line.turns for line in lines] == [3, 0, 3]


async def test_no_crops() -> None:
    assert await read_upright(FakeRecogniser(GARBAGE).as_recogniser(), [], "") == []


def test_a_tall_box_is_turned_and_its_corners_follow() -> None:
    photo = np.zeros((300, 100, 3), np.uint8)
    photo[20:60, 40:60] = 255  # the upper end of the box
    quad = np.array([[40, 20], [60, 20], [60, 220], [40, 220]], np.float32)
    upright = cut(photo, quad)
    assert upright.turns == 1
    assert upright.pixels.shape[:2] == (20, 200)
    assert upright.pixels[:, :30].min() > 200, "text that runs down begins at the left"
    assert turned(quad, 1)[0].tolist() == [60, 20]


async def test_a_long_line_that_stays_doubtful_is_read_at_its_full_width() -> None:
    recogniser = FakeRecogniser(GARBAGE, upright=Reading("blurred line", 0.7))
    recogniser.wide = Reading("blurred lines", 0.9)
    (line,) = await read_upright(recogniser.as_recogniser(), [crop()], "")
    assert line.reading == recogniser.wide
    assert line.turns == 0
