"""Writes the tables that a search weighs evidence with, into sql/search/tables. Run once per new data set:

    pip install pypinyin==0.55.0
    python -m sql.upkeep.generate_tables jieba/dict.txt NotoSansCJK-Regular.ttc NotoSerifCJK-Regular.ttc

`dict.txt` is the dictionary of jieba 0.42.1 (https://github.com/fxsjy/jieba, MIT licence): words and how often they
occur. The fonts are Noto's (https://github.com/notofonts/noto-cjk, SIL Open Font License 1.1): characters that look
alike in both of them are what OCR takes for each other. pypinyin (https://github.com/mozillazg/python-pinyin, MIT
licence) gives how characters are read.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

TABLES = Path(__file__).parents[1] / "search" / "tables"
CHARACTERS = 7000
"""Characters that are compared: the most frequent ones."""
COMMON = 5500
"""Characters that a person writes: what OCR reads instead of another character is often none of them."""
RARE_WORD = {1: 30, 2: 10, 3: 30}
"""Words by length; those that occur less often say little about where a text is cut into words."""
ALIKE = 0.7
MOST_ALIKE = 8
SIZE = 48

Vectors = np.ndarray[Any, np.dtype[np.float32]]


def is_ideograph(character: str) -> bool:
    """Whether the character is a Chinese one of the basic plane."""
    return "\u4e00" <= character <= "\u9fff"


def images(characters: Sequence[str], font_file: str) -> Vectors:
    """One unit vector per character: its picture, blurred so that a stroke's width or place matters little."""
    font = ImageFont.truetype(font_file, SIZE, index=2)
    vectors = []
    for character in characters:
        picture = Image.new("L", (SIZE + 16, SIZE + 16))
        ImageDraw.Draw(picture).text((8, 0), character, fill=255, font=font)
        small = picture.filter(ImageFilter.GaussianBlur(1.6)).resize((32, 32), Image.Resampling.BOX)
        vector = np.asarray(small, dtype=np.float32).ravel()
        vector = vector - vector.mean()
        vectors.append(vector / np.linalg.norm(vector))
    return np.stack(vectors)


def alike(characters: Sequence[str], fonts: Sequence[str]) -> dict[str, str]:
    """For each character those that look most like it in all fonts, most alike first."""
    pictures = [images(characters, font) for font in fonts]
    found = {}
    for place, character in enumerate(characters):
        likeness = np.minimum.reduce([vectors @ vectors[place] for vectors in pictures])
        likeness[place] = -1
        nearest = np.argsort(-likeness)[:MOST_ALIKE]
        found[character] = "".join(characters[other] for other in nearest if likeness[other] >= ALIKE)
    return found


def readings(characters: Sequence[str]) -> dict[str, list[str]]:
    """How each character is read in pinyin, without tones, the usual reading first."""
    from pypinyin import Style, pinyin  # only this generator needs it

    found = {}
    for character in characters:
        ways = pinyin(character, style=Style.NORMAL, heteronym=True)[0]
        usual = pinyin(character, style=Style.NORMAL)[0]
        found[character] = [way for way in dict.fromkeys([*usual, *ways]) if way.isascii() and way.isalpha()]
    return found


def main() -> None:
    """Write the tables."""
    words, frequency = {}, Counter[str]()
    for line in Path(sys.argv[1]).read_text("utf-8").splitlines():
        word, count, *_ = line.split(" ")
        words[word] = int(count)
        frequency.update(dict.fromkeys(word, int(count)))
    characters = [character for character, _ in frequency.most_common() if is_ideograph(character)]
    kept = sorted(
        (word, count)
        for word, count in words.items()
        if count >= RARE_WORD.get(len(word), sys.maxsize) and all(map(is_ideograph, word))
    )
    # How often, as a power of two: more says nothing more.
    (TABLES / "words.txt").write_text("".join(f"{word}{count.bit_length()}\n" for word, count in kept), "utf-8")
    (TABLES / "common.txt").write_text("".join(sorted(characters[:COMMON])) + "\n", "utf-8")
    read = readings(characters[:CHARACTERS])
    (TABLES / "pinyin.txt").write_text(
        "".join(f"{character}{' '.join(ways)}\n" for character, ways in sorted(read.items()) if ways), "utf-8"
    )
    pairs = alike(characters[:CHARACTERS], sys.argv[2:])
    (TABLES / "alike.txt").write_text(
        "".join(f"{character}{others}\n" for character, others in sorted(pairs.items()) if others), "utf-8"
    )


if __name__ == "__main__":
    main()
