"""Lines become inputs of a few widths, and probabilities text."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from mesh.core.errors import ModelNotFoundError, OverloadedError
from ocr_service.recognition.recogniser import (
    LINES_OF_ONE_PHOTO,
    MAX_WIDTH,
    MIN_WIDTH,
    Reading,
    TextRecogniser,
    Widths,
    padded_width,
    to_input,
)
from tests.unit.ocr_service.doubles import FakeEngine, spell

CHARACTERS = "abc中文"
RARE_AND_NOT = "净凈嘅咗喆堃"


def line(columns: int, rows: int = 48) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.full((rows, columns, 3), 200, np.uint8)


def test_input_is_48_high_and_padded_with_zero() -> None:
    blob = to_input(line(100))
    assert blob.shape == (1, 3, 48, 136)
    assert blob.dtype == np.float32
    assert np.allclose(blob[..., :130], 200 / 127.5 - 1)  # a short line is read somewhat wider than it is
    assert not blob[..., 130:].any()
    assert to_input(line(30)).shape == (1, 3, 48, MIN_WIDTH)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (48, 1), (1, 48), (10, 90_000), (500, 20)])
def test_any_line_fits(rows: int, columns: int) -> None:
    width = to_input(line(columns, rows)).shape[3]
    assert MIN_WIDTH <= width <= MAX_WIDTH
    assert width % 8 == 0


def test_hardly_wider_than_the_line() -> None:
    widths = {width: padded_width(width) for width in range(1, MAX_WIDTH + 1)}
    assert all(padded >= width for width, padded in widths.items())
    assert all(padded - width < 8 + width / 64 for width, padded in widths.items() if width >= MIN_WIDTH)
    assert len(set(widths.values())) < 240


def test_long_lines_are_read_narrower() -> None:
    assert to_input(line(192)).shape[3] == 192
    assert to_input(line(240)).shape[3] == 192
    assert to_input(line(1000)).shape[3] == 800
    assert to_input(line(2000, rows=96)).shape[3] == 800


async def test_a_gpu_gets_fewer_shapes() -> None:
    assert len({padded_width(width, Widths.COARSE) for width in range(1, MAX_WIDTH + 1)}) < 50
    engine = FakeEngine(lambda _: spell("a", CHARACTERS), CHARACTERS)
    engine.on_cpu = False
    await TextRecogniser(engine.as_engine(), Path()).read([line(width) for width in range(330, 361, 5)])
    assert {shape[3] for shape in engine.shapes} == {288}


async def test_readings_come_in_the_order_of_the_lines() -> None:
    by_width = {128: "a", 160: "ab", 192: "中文"}
    engine = FakeEngine(lambda blob: spell(by_width[blob.shape[3]], CHARACTERS), CHARACTERS)
    readings = await TextRecogniser(engine.as_engine(), Path()).read([line(160), line(48), line(120)])
    assert [reading.text for reading in readings] == ["中文", "a", "ab"]
    assert [shape[3] for shape in engine.shapes] == [192, 160, 128], "sorted by width, so that like meets like"
    assert readings[0].score == pytest.approx(0.9)


async def test_nothing_read_scores_nothing() -> None:
    engine = FakeEngine(lambda _: spell("", CHARACTERS), CHARACTERS)
    (reading,) = await TextRecogniser(engine.as_engine(), Path()).read([line(60)])
    assert (reading.text, reading.score) == ("", 0.0)


async def test_a_language_turns_the_scale_but_not_the_score() -> None:
    def undecided(_: object) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        answer = spell("中", CHARACTERS, 0.5)
        answer[0, 1, 1] = 0.4
        return answer

    recogniser = TextRecogniser(FakeEngine(undecided, CHARACTERS).as_engine(), Path())
    texts = {tag: (await recogniser.read([line(60)], tag))[0] for tag in ("", "zh-CN", "en", "ja")}
    assert {tag: reading.text for tag, reading in texts.items()} == {"": "中", "zh-CN": "中", "en": "a", "ja": "中"}
    assert texts["en"].score == pytest.approx(0.4)


async def test_a_rare_form_needs_to_be_certain() -> None:
    def answer(certainty: float) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        probabilities = spell("凈", "净凈", certainty)
        probabilities[0, 1, 1] = 0.2
        return probabilities

    unsure = TextRecogniser(FakeEngine(lambda _: answer(0.8), "净凈").as_engine(), Path())
    (reading,) = await unsure.read([line(60)])
    assert reading.text == "净"
    assert reading.score == pytest.approx(0.8), "that one of the two stands there is as certain as before"
    sure = TextRecogniser(FakeEngine(lambda _: answer(2.5), "净凈").as_engine(), Path())
    assert (await sure.read([line(60)]))[0].text == "凈"


def classes_of(**likely: float) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Probabilities of one step, between two blanks, for a recogniser of 净, 凈, 嘅, 咗, 喆 and 堃."""
    classes = ["blank", *RARE_AND_NOT, " "]
    step = np.zeros(len(classes), np.float32)
    for character, probability in likely.items():
        step[classes.index(character)] = probability
    assert step.sum() == pytest.approx(1)
    nothing = np.eye(1, len(classes), dtype=np.float32)[0]
    return np.stack([nothing, step, nothing])[None]


@pytest.mark.parametrize("rare", "凈嘅咗喆堃")
@pytest.mark.parametrize("language", ["", "zh-HK"])
def test_a_rare_character_that_is_clearly_there_stays(rare: str, language: str) -> None:
    engine = FakeEngine(lambda blob: blob, RARE_AND_NOT)
    recogniser = TextRecogniser(engine.as_engine(), Path())
    steps: dict[tuple[float, float, float], Reading] = {
        (0.9, 0.05, 0.05): Reading(rare, 0.9),
        (0.6, 0.05, 0.35): Reading(rare, 0.6),  # a blank is no look-alike
        (0.5, 0.4, 0.1): Reading("净", 0.5),
    }
    for (certainty, look_alike, blank), expected in steps.items():
        reading = recogniser._decode(classes_of(**{rare: certainty, "净": look_alike, "blank": blank}), language)
        assert reading.text == expected.text
        assert reading.score == pytest.approx(expected.score)


async def test_one_photo_does_not_fill_the_queue() -> None:
    engine = FakeEngine(lambda _: spell("a", CHARACTERS), CHARACTERS)

    async def slow(blob: dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]) -> list[object]:
        engine.running += 1
        engine.most_running = max(engine.most_running, engine.running)
        await asyncio.sleep(0)
        engine.running -= 1
        return [spell("a", CHARACTERS)]

    engine.infer = slow  # type: ignore[method-assign, assignment]
    recogniser = TextRecogniser(engine.as_engine(), Path(), lines_at_once=5)
    await asyncio.gather(*(recogniser.read([line(60)] * 50) for _ in range(3)))
    assert engine.most_running == 5
    engine.most_running = 0
    await TextRecogniser(engine.as_engine(), Path()).read([line(60)] * 100)
    assert engine.most_running == LINES_OF_ONE_PHOTO


async def test_a_failing_line_stops_the_others() -> None:
    def refuse(_: object) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        raise OverloadedError("full")

    engine = FakeEngine(refuse, CHARACTERS)
    with pytest.raises(OverloadedError):
        await TextRecogniser(engine.as_engine(), Path()).read([line(60)] * 100)
    await asyncio.sleep(0)
    assert len(engine.shapes) < 2 * LINES_OF_ONE_PHOTO


def test_a_model_without_characters_is_refused(tmp_path: Path) -> None:
    engine = FakeEngine(lambda blob: blob)
    engine.metadata = {}
    with pytest.raises(ModelNotFoundError, match=r"inference\.yml"):
        TextRecogniser(engine.as_engine(), tmp_path)


PRICES = "0123456789.a"


async def read_with_gap(text: str, point: float) -> str:
    """What is read where a gap is a space, and a point is that likely there."""
    answer = spell(text, PRICES)
    answer[0, 2 * text.index(" ") + 1, 1 + PRICES.index(".")] = point
    engine = FakeEngine(lambda _: answer, PRICES).as_engine()
    [reading] = await TextRecogniser(engine, Path()).read([line(192)])
    return reading.text


async def test_a_worn_point_between_digits_is_no_space() -> None:
    assert await read_with_gap("8 80", 0.04) == "8.80"
    assert await read_with_gap("25 000", 0.0009) == "25 000"
    assert await read_with_gap("a 80", 0.04) == "a 80"
    assert await read_with_gap("8 a0", 0.04) == "8 a0"
    assert await read_with_gap(" 80", 0.04) == " 80"


async def test_that_something_stands_there_is_as_certain() -> None:
    answer = spell("8 80", PRICES, certainty=0.9)
    answer[0, 3, 1 + PRICES.index(".")] = 0.04
    engine = FakeEngine(lambda _: answer, PRICES).as_engine()
    [reading] = await TextRecogniser(engine, Path()).read([line(192)])
    assert reading.score == pytest.approx(0.9)


async def test_a_model_without_points_reads_on() -> None:
    engine = FakeEngine(lambda _: spell("8 80", "08"), "08").as_engine()
    [reading] = await TextRecogniser(engine, Path()).read([line(192)])
    assert reading.text == "8 80"
