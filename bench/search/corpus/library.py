"""A generated photo library: what stands in each photo (the truth), and what OCR made of it (the rows in the database).

Deterministic: the same seed and size give the same library. About half of the photos hold text; OCR misreads about one
character in a hundred, sometimes breaks a line in two, and titles are sometimes set with spaces.
"""

import random
from collections.abc import Iterator
from uuid import UUID

from bench.search.corpus import lexicon as words
from bench.search.corpus.kinds import KINDS
from bench.search.corpus.photo import LARGE, Line, Photo

ERROR_RATE = 0.01

Rng = random.Random


def library(size: int, traditional: dict[str, str], seed: int = 6) -> Iterator[Photo]:
    """`size` photos; `traditional` maps simplified to traditional characters, for the photos from Taiwan and Hong
    Kong."""
    rng = random.Random(seed)
    kinds, shares = list(KINDS), [share for _, share, _ in KINDS.values()]
    for _ in range(size):
        kind = rng.choices(kinds, shares)[0]
        make, _, shows = KINDS[kind]
        photo = Photo(UUID(int=rng.getrandbits(128), version=4), rng.choices((0, 1, 2), (70, 20, 10))[0], kind)
        photo.lines = make(rng) if make else []
        photo.concepts = (shows,) if shows else tuple(rng.sample(words.CONCEPTS[:-10], rng.choice((1, 1, 2))))
        photo.searchable = rng.random() > 0.03
        photo.has_vector = rng.random() > 0.02
        photo.style = rng.choices(("plain", "traditional", "wide"), (88, 8, 4))[0]
        for line in photo.lines:
            _read(line, photo.style, traditional, rng)
        yield photo


def _read(line: Line, style: str, traditional: dict[str, str], rng: Rng) -> None:
    """Fill in what OCR reads: the printed form of the style, misread here and there, broken now and then."""
    printed = line.text
    if style == "traditional":
        printed = "".join(traditional.get(character, character) for character in printed)
    elif style == "wide":
        printed = "".join(
            chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in printed
        )
    read = []
    for place, character in enumerate(printed):
        if character != " " and rng.random() < ERROR_RATE:
            wrong = words.CONFUSED.get(character) or rng.choice("丨丿口囗冂彐乛亠冖")
            line.misread = place if line.misread < 0 else line.misread
            read.append(wrong)
        else:
            read.append(character)
    text = "".join(read)
    if line.size == LARGE and len(text) <= 6 and rng.random() < 0.05:
        text = " ".join(text)
    line.confidence = rng.uniform(0.80, 0.93) if line.misread >= 0 else rng.uniform(0.90, 0.999)
    cut = rng.randint(2, len(text) - 2) if len(text) > 8 and rng.random() < 0.03 else 0
    line.read = (text[:cut], text[cut:]) if cut else (text,)
