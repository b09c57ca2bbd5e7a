"""Writes the data of `mesh.fold`: which folded form each character has. Run once per new data set, with OpenCC at hand:

    pip install opencc==1.4.2
    python -m sql.upkeep.generate_folding > sql/migrations/0001_folding.up.sql

OpenCC (Apache-2.0, BYVoid and the OpenCC contributors) gives the simplified form of traditional characters, of their
variants in Taiwan and Hong Kong, and of Japanese shinjitai. Case folding and digits come from Python's `unicodedata`.
The result is closed (folding a folded character changes nothing), so that `mesh.fold` is idempotent.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template

ACCENTS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
"""Combining marks of Latin, Greek and Cyrillic letters, vowel points of Hebrew and Arabic, and Arabic's stretched line.
Marks that carry meaning (kana voicing, Thai vowels) are not."""
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
"""Zero-width and formatting characters, and variation selectors."""
CONTROL = "\u0001-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f"
"""Control characters that are not white space (PostgreSQL's text holds no NUL)."""
SPACES = "\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""White space of any kind and width."""

STROKED = {"æ": "ae", "ð": "d", "ø": "o", "þ": "th", "đ": "d", "ħ": "h", "ı": "i", "ł": "l", "œ": "oe", "ŧ": "t"}
"""Letters whose stroke or ligature is no combining mark; Debian's `unaccent` rules name the same plain letters."""

IDEOGRAPHS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0x20000, 0x323B0))

REMOVED = re.compile(f"[{ACCENTS}{INVISIBLE}{CONTROL}]")


OPENCC = ("jp2t", "hk2t", "tw2t")
"""OpenCC's ways from Japanese, Hong Kong's and Taiwan's characters to the traditional ones that it simplifies."""

Converter = Callable[[str], str]


def simplified(character: str, to_traditional: Sequence[Converter], to_simplified: Converter) -> str:
    """The simplified form of an ideograph. What is itself a character of mainland China (GB 2312), such as 予 or 芸, is
    not taken for a Japanese one."""
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        for convert in to_traditional:
            character = convert(character)
    return to_simplified(character)


def plain_forms() -> dict[str, str]:
    """Ideograph to its simplified form, stroked letter to plain one, digit of any script to ASCII's."""
    from opencc import OpenCC  # only this generator needs it

    to_traditional, to_simplified = [OpenCC(name).convert for name in OPENCC], OpenCC("t2s").convert
    ideographs = (chr(code) for first, last in IDEOGRAPHS for code in range(first, last))
    forms = {character: simplified(character, to_traditional, to_simplified) for character in ideographs}
    digits = {
        chr(code): str(unicodedata.decimal(chr(code)))
        for code in range(0x80, 0x110000)
        if unicodedata.category(chr(code)) == "Nd"
    }
    return STROKED | digits | {old: new for old, new in forms.items() if old != new and len(new) == 1}


def folded(character: str, to_plain: Mapping[str, str]) -> str:
    """The fixed point of decomposing, stripping, lowering and simplifying one character."""
    text = character
    for _ in range(8):
        plain = REMOVED.sub("", unicodedata.normalize("NFKD", text)).casefold()
        after = "".join(to_plain.get(part, part) for part in unicodedata.normalize("NFKD", plain))
        if after == text:
            return text
        text = after
    raise ValueError(f"U+{ord(character):04X} has no fixed point")


def folding(to_plain: Mapping[str, str]) -> dict[str, str]:
    """Every character that decomposition alone does not bring to its folded form."""
    characters = (chr(code) for code in range(0x21, 0x110000) if not 0xD800 <= code <= 0xDFFF)
    table = {}
    for character in characters:
        if unicodedata.category(character) in {"Cn", "Co"} or unicodedata.normalize("NFKD", character) != character:
            continue
        if REMOVED.match(character):
            continue
        if (target := folded(character, to_plain)) != character:
            table[character] = target
    return table


def character_class(ranges: str) -> str:
    """The ranges as the inside of a PostgreSQL bracket expression, in escapes, so that the file stays readable."""

    def escape(character: str) -> str:
        code = ord(character)
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

    return "".join(part if part == "-" else escape(part) for part in ranges)


def main() -> None:
    """Print the migration."""
    template = Template((Path(__file__).parents[1] / "migrations" / "0001_folding.template").read_text("utf-8"))
    table = folding(plain_forms())
    pairs = [
        f"{json.dumps(old, ensure_ascii=False)}:{json.dumps(new, ensure_ascii=False)}" for old, new in table.items()
    ]
    rows = "\n".join(",".join(pairs[start : start + 12]) + "," for start in range(0, len(pairs), 12)).rstrip(",")
    sys.stdout.write(
        template.substitute(
            removed=character_class(ACCENTS + INVISIBLE + CONTROL), spaces=character_class(SPACES), characters=rows
        )
    )


if __name__ == "__main__":
    main()
