"""The words of the rendered set: what signs, receipts, menus, pages and screens say. `words/` has one phrase a line."""

import random
from pathlib import Path

_FOLDER = Path(__file__).parent / "words"


def _phrases(name: str) -> tuple[str, ...]:
    return tuple((_FOLDER / f"{name}.txt").read_text("utf-8").splitlines())


SIMPLIFIED = _phrases("simplified")
TRADITIONAL = _phrases("traditional")
JAPANESE = _phrases("japanese")
ENGLISH = _phrases("english")
WORDS = _phrases("words")
GOODS = _phrases("goods")


def phrase(rng: random.Random, source: tuple[str, ...]) -> str:
    """One phrase."""
    return rng.choice(source)


def number(rng: random.Random) -> str:
    """A number as it stands on signs and forms: a price, a date, a telephone number, a time."""
    kind = rng.randrange(4)
    if kind == 0:
        return f"{rng.randint(1, 999)}.{rng.randint(0, 99):02d}"
    if kind == 1:
        return f"{rng.randint(2008, 2026)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    if kind == 2:
        return f"1{rng.randint(30, 89)}{rng.randint(10**7, 10**8 - 1)}"
    return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"


def mixed(rng: random.Random) -> str:
    """Chinese and English in one line."""
    chinese, english = phrase(rng, SIMPLIFIED), " ".join(rng.sample(WORDS, 2))
    return rng.choice((f"{chinese} {english}", f"{english.title()} {chinese}", f"{chinese} {number(rng)} {english}"))


def any_line(rng: random.Random) -> str:
    """A line of simplified Chinese, English, or one with a number."""
    kind = rng.randrange(5)
    if kind < 2:
        return phrase(rng, SIMPLIFIED)
    if kind < 4:
        return phrase(rng, ENGLISH)
    return f"{phrase(rng, SIMPLIFIED)} {number(rng)}"


def page_line(rng: random.Random, chinese: bool) -> str:
    """A line as it fills the width of a printed page."""
    if chinese:
        return "，".join(rng.sample(SIMPLIFIED, 3))[:26].rstrip("，")
    return " ".join(rng.sample(WORDS, 8)).capitalize()
