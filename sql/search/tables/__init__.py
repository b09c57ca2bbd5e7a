"""What a search knows about Chinese: words, common characters, characters that look alike."""

import re
from functools import cache
from importlib.resources import files


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


@cache
def words() -> dict[str, int]:
    """Words of one to three simplified characters, and how often they occur, as a power of two."""
    parts = (re.fullmatch(r"(\D+)(\d+)", line) for line in _read("words.txt").split())
    return {part[1]: int(part[2]) for part in parts if part}


@cache
def common() -> frozenset[str]:
    """The 5,500 most frequent characters, those of names among them."""
    return frozenset(_read("common.txt").strip())


@cache
def pinyin() -> dict[str, list[str]]:
    """How a character is read, without tones, the usual reading first."""
    return {line[0]: line[1:].split() for line in _read("pinyin.txt").splitlines()}


@cache
def alike() -> dict[str, str]:
    """For a character up to eight that look like it, most alike first."""
    return {line[0]: line[1:] for line in _read("alike.txt").split()}
