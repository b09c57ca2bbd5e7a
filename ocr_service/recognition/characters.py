"""The characters that a recogniser's classes stand for, and which of them a language expects."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from mesh.core.errors import ModelNotFoundError

DICTIONARY_FILES = ("inference.yml", "dict.txt", "ppocr_keys_v1.txt", "ppocrv5_dict.txt", "keys.txt")
"""Where a model's characters may lie beside `model.onnx` when its metadata has none; else in the only .txt there."""

FOREIGN_WEIGHT = 0.3
"""How much the probability of a character counts that the expected language does not use: a hint, not a ban."""

RARE_WEIGHT = 0.1
"""How much the probability of an ideograph counts, beside its look-alikes, that the basic character sets of China,
Taiwan and Japan lack. Names (喆, 堃) and Cantonese (嘅, 咗) have such too: one that is ten times as likely as any other
character stays."""

_BASIC_SETS = (("gb2312", 0xF7FE), ("big5", 0xC67E), ("shift_jis", 0x9872))
"""Character sets of China, Taiwan and Japan, and the last code of their basic ideographs: all of GB 2312, the first
levels of Big5 and of JIS X 0208."""

_ALPHABETS = (
    "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώ",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя",
)
"""Letters that texts of such a script have. Models may know Greek from formulas alone, without accents and ς."""

_IDEOGRAPHS = ("CJK",)
_KANA = ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA")
_HANGUL = ("HANGUL",)
_SCRIPTS_OF_LANGUAGE = {"zh": _IDEOGRAPHS, "ja": _IDEOGRAPHS + _KANA, "ko": _HANGUL + _IDEOGRAPHS}
_EAST_ASIAN = _IDEOGRAPHS + _KANA + _HANGUL


def rare_characters(characters: Sequence[str]) -> NDArray[np.bool_]:
    """Which classes are ideographs that the basic sets of China, Taiwan and Japan lack; shape (classes,).

    Most are old forms. A recogniser confuses these with the everyday forms of the same character, which are far more
    often what is there.
    """
    return np.array([len(character) == 1 and _is_rare(character) for character in characters], np.bool_)


def _is_rare(character: str) -> bool:
    if not unicodedata.name(character, "").startswith(_IDEOGRAPHS):
        return False
    codes = ((character.encode(name, "ignore"), last) for name, last in _BASIC_SETS)
    return not any(0 < int.from_bytes(code) <= last for code, last in codes)


def half_known_letters(characters: Sequence[str]) -> frozenset[str]:
    """Letters of scripts of which a model knows some letters, and not all that texts have: it passes over the rest."""
    half_known: set[str] = set()
    for alphabet in _ALPHABETS:
        if not set(alphabet).issubset(characters):
            half_known |= {cased for letter in alphabet for cased in (letter, letter.upper())}
    return frozenset(half_known)


def read_characters(metadata: Mapping[str, str], folder: Path) -> list[str]:
    """The characters of a recognition model, in the order of its classes, without blank and space.

    Args:
        metadata: the ONNX file's own; RapidOCR's and Immich's files carry `character`, one per line.
        folder: the model's folder; PaddleOCR's `inference.yml` or a plain dictionary file may lie there.

    Raises:
        ModelNotFoundError: none of these has them.
    """
    if characters := metadata.get("character"):
        return characters.split("\n")
    lists = sorted(folder.glob("*.txt"))
    for path in (*(folder / name for name in DICTIONARY_FILES), *(lists if len(lists) == 1 else ())):
        if path.is_file():
            return _from_yaml(path) if path.suffix == ".yml" else path.read_text("utf-8").splitlines()
    raise ModelNotFoundError(
        f"The recognition model in {folder} has no character list: neither its metadata nor a file beside it "
        f"({', '.join(DICTIONARY_FILES)}) holds one. Put the model's inference.yml there."
    )


def _from_yaml(path: Path) -> list[str]:
    settings = yaml.safe_load(path.read_text("utf-8"))
    try:
        return [str(character) for character in settings["PostProcess"]["character_dict"]]
    except (KeyError, TypeError) as error:
        raise ModelNotFoundError(
            f"{path} has no PostProcess.character_dict: put the model's own inference.yml there."
        ) from error


def language_weights(language: str, characters: Sequence[str]) -> NDArray[np.float32] | None:
    """How much each class's probability counts for text of a language.

    Args:
        language: a BCP 47 tag such as `zh-CN`; empty for none.
        characters: one per class.

    Returns:
        weights of shape (classes,), or None where every character is as likely as any other.
    """
    if not language:
        return None
    expected = _SCRIPTS_OF_LANGUAGE.get(language.split("-")[0].lower(), ())
    foreign = tuple(script for script in _EAST_ASIAN if script not in expected)
    weights = np.ones(len(characters), dtype=np.float32)
    for index, character in enumerate(characters):
        if len(character) == 1 and unicodedata.name(character, "").startswith(foreign):
            weights[index] = FOREIGN_WEIGHT
    return weights
