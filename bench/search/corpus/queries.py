"""Queries of each class, drawn from the photos and judged."""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from bench.search.corpus import lexicon as words
from bench.search.corpus.photo import Photo
from bench.search.corpus.relevance import CJK, Query, Truth, judge

PER_CLASS = 40


class QueryMaker:
    """Draws queries of each class from the photos."""

    def __init__(self, photos: Sequence[Photo], library: dict[int, Truth], traditional: dict[str, str]) -> None:
        self._rng = random.Random(66)
        self._photos = photos
        self._library = library
        self._traditional = traditional
        self._indices = list(library)
        self._by_length: dict[int, list[str]] = defaultdict(list)
        vocabulary = {*words.CITIES, *words.COMMON, *words.ITEMS, *words.DISHES, *words.SUBJECTS, *words.NOTICES}
        vocabulary |= {
            *words.PLACES,
            *words.STREETS,
            *words.TRADES,
            *words.MEDICINES,
            "发票",
            "合计",
            "教授",
            "电话",
            "菜单",
            "典礼",
        }
        for word in sorted(vocabulary):
            if CJK.fullmatch(word):
                self._by_length[len(word)].append(word)

    def all(self) -> list[Query]:
        """All classes, judged."""
        made = self.unjudged()
        for query in made:
            judge(query, self._library)
        return [query for query in made if bool(query.relevant) != (query.kind == "nothing")]

    def unjudged(self) -> list[Query]:
        """All classes, without judgement."""
        return [query for kind, make in CLASSES.items() for query in self._class(kind, make)]

    def _class(self, kind: str, make: str) -> Iterable[Query]:
        seen: set[str] = set()
        for _ in range(PER_CLASS * 20):
            drawn = getattr(self, make)()
            if drawn and drawn[0] not in seen:
                seen.add(drawn[0])
                yield Query(drawn[0], kind, drawn[1])
            if len(seen) == PER_CLASS:
                return

    def _line(self) -> str:
        photo = self._photos[self._rng.choice(self._indices)]
        text: str = self._rng.choice(photo.lines).text
        return text

    def _cut(self, low: int, high: int) -> str | None:
        runs = [run for run in CJK.findall(self._line()) if len(run) >= low]
        if not runs:
            return None
        run: str = self._rng.choice(runs)
        length = self._rng.randint(low, min(high, len(run)))
        start = self._rng.randint(0, len(run) - length)
        return run[start : start + length]

    def two_characters(self) -> tuple[str, tuple[str, ...]] | None:
        """A word of two characters."""
        word = self._rng.choice(self._by_length[2])
        return word, (word,)

    def phrase(self) -> tuple[str, tuple[str, ...]] | None:
        """A longer word, or a piece of a line."""
        long = [word for length, listed in self._by_length.items() if length >= 3 for word in listed]
        text = self._rng.choice(long) if self._rng.random() < 0.5 else self._cut(4, 10)
        return (text, (text,)) if text else None

    def one_character(self) -> tuple[str, tuple[str, ...]] | None:
        """A single character of a word."""
        character = self._rng.choice(self._rng.choice(self._by_length[self._rng.choice((2, 3, 4))]))
        return character, (character,)

    def english(self) -> tuple[str, tuple[str, ...]] | None:
        """An English word, or its beginning."""
        word = self._rng.choice([*words.ENGLISH, *(title.split()[0] for title in words.ENGLISH_TITLES)])
        if self._rng.random() < 0.3 and len(word) > 5:
            word = word[: self._rng.randint(4, len(word) - 1)]
        word = self._rng.choice((word, word.upper(), word.capitalize()))
        return word, (word.lower(),)

    def digits(self) -> tuple[str, tuple[str, ...]] | None:
        """A number, its tail, or a date or telephone number with and without dashes."""
        numbers = re.findall(r"\d[\d-]{5,}\d", self._line())
        if not numbers:
            return None
        number = self._rng.choice(numbers)
        if self._rng.random() < 0.4 and "-" not in number:
            number = number[-self._rng.randint(4, 6) :]
        elif self._rng.random() < 0.3:
            number = number.replace("-", "")
        return number, (number.replace("-", ""),)

    def mixed(self) -> tuple[str, tuple[str, ...]] | None:
        """A piece of a line with both scripts."""
        parts = re.findall(r"[\u4e00-\u9fff]+[0-9A-Za-z]+[\u4e00-\u9fff]*|[0-9A-Za-z]+[\u4e00-\u9fff]+", self._line())
        if not parts:
            return None
        text = self._rng.choice(parts)
        return (text, (text.lower(),)) if 3 <= len(text) <= 12 else None

    def several_words(self) -> tuple[str, tuple[str, ...]] | None:
        """Words of two or three lines of one photo."""
        photo = self._photos[self._rng.choice(self._indices)]
        if len(photo.lines) < 2:
            return None
        terms = []
        for line in self._rng.sample(photo.lines, self._rng.choice((2, 2, min(3, len(photo.lines))))):
            runs = [run for run in CJK.findall(line.text) if len(run) >= 2] or re.findall(
                r"[A-Za-z]{4,}|\d{4,}", line.text
            )
            if runs:
                run = self._rng.choice(runs)
                terms.append(run[:4] if CJK.match(run) else run)
        if len(set(terms)) < 2:
            return None
        return " ".join(terms), tuple(term.lower() for term in terms)

    def traditional(self) -> tuple[str, tuple[str, ...]] | None:
        """A word or phrase in traditional characters."""
        drawn = self.two_characters() if self._rng.random() < 0.5 else self.phrase()
        if not drawn:
            return None
        text = "".join(self._traditional.get(character, character) for character in drawn[0])
        return (text, drawn[1]) if text != drawn[0] else None

    def full_width(self) -> tuple[str, tuple[str, ...]] | None:
        """Letters and digits as wide as Chinese characters."""
        drawn = self.english() if self._rng.random() < 0.5 else self.mixed()
        if not drawn:
            return None
        wide = "".join(chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in drawn[0])
        return wide, drawn[1]

    def one_ocr_error(self) -> tuple[str, tuple[str, ...]] | None:
        """A word that OCR misread in one photo, as it is printed."""
        photo = self._photos[self._rng.choice(self._indices)]
        wrong = [line for line in photo.lines if line.misread >= 0 and photo.style == "plain"]
        if not wrong:
            return None
        line = self._rng.choice(wrong)
        for match in re.finditer(r"[\u4e00-\u9fff]{5,}|[A-Za-z]{7,}", line.text):
            if match.start() <= line.misread < match.end():
                text = match[0][:8] if CJK.match(match[0]) and line.misread < match.start() + 8 else match[0]
                return (text, (text.lower(),)) if len(text) <= 16 else None
        return None

    def nothing(self) -> tuple[str, tuple[str, ...]] | None:
        """What stands in no photo."""
        form = self._rng.random()
        if form < 0.4:
            text = self._rng.choice(self._by_length[2]) + self._rng.choice("鑫龘犇骉淼焱麤魍魉饕餮")
        elif form < 0.7:
            text = "".join(self._rng.choice("qwxzjkvy") for _ in range(7))
        else:
            text = "".join(self._rng.choice("0123456789") for _ in range(14))
        return text, (text,)


CLASSES = {
    "two characters": "two_characters",
    "phrase": "phrase",
    "one character": "one_character",
    "english": "english",
    "digits": "digits",
    "mixed": "mixed",
    "several words": "several_words",
    "traditional": "traditional",
    "full width": "full_width",
    "one OCR error": "one_ocr_error",
    "nothing": "nothing",
}
