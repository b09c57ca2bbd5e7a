"""cn-clip's tokenizer as a `tokenizer.json`: the same ids for every string, at the speed of the `tokenizers` library.

cn-clip uses BERT's original Python tokenizer with Python's own Unicode tables. The `BertNormalizer` of the `tokenizers`
library comes close but has older tables: it drops private-use characters, keeps newer combining marks, splits at
fewer punctuation marks, ends one block of CJK characters elsewhere and gives up on words of 100 characters instead of
200. So the character classes are spelled out here from the tables that cn-clip reads, and the steps are composed from
primitives. `tests/export` compares the two for every code point and for thousands of strings.

The result is data of the project, `mesh/hub/clip_import/tokenizer.json`, and `python -m mesh.hub.clip_export.tokenizer`
writes it anew.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

_MAX_CHARACTERS_PER_WORD = 200

_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
"""BERT's blocks of characters that are words of their own."""


def read_vocabulary(path: Path) -> dict[str, int]:
    """Token to id from a `vocab.txt`: a stripped line is a token, its number the id; the last of equals wins."""
    lines = path.read_text("utf-8").split("\n")
    return {line.strip(): number for number, line in enumerate(lines[:-1] if not lines[-1] else lines)}


def build(vocabulary: Mapping[str, int]) -> Tokenizer:
    """The tokenizer without padding and truncation, which the runtime sets from `config.json`'s context length.

    No token is registered as special: `[SEP]` typed by a user is text, as it is for cn-clip.
    """
    tokenizer = Tokenizer(
        WordPiece(
            vocab=dict(vocabulary),
            unk_token="[UNK]",  # noqa: S106 - a token of the vocabulary
            continuing_subword_prefix="##",
            max_input_chars_per_word=_MAX_CHARACTERS_PER_WORD,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_class(_is_dropped)), ""),
            normalizers.Replace(Regex(_class(_is_space)), " "),
            normalizers.NFD(),
            normalizers.Replace(Regex(_class(lambda code: unicodedata.category(chr(code)) == "Mn")), ""),
            normalizers.Replace(Regex(_final_sigma()), "ς"),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(_class(_is_cjk)), "isolated"),
            pre_tokenizers.Split(Regex(_class(_is_punctuation)), "isolated"),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return tokenizer


def _final_sigma() -> str:
    """A capital sigma at the end of a word, which Python lowers to ς and the library, letter by letter, to σ.

    Between the sigma and the letters around it there may be signs that Python overlooks, such as an apostrophe.
    """
    cased = _class(lambda code: f"{chr(code)}Σ".lower().endswith("ς"))
    overlooked = _class(
        lambda code: (
            f"A{chr(code)}Σ".lower().endswith("ς")
            and not f"{chr(code)}Σ".lower().endswith("ς")
            and unicodedata.category(chr(code)) not in ("Mn", "Cf")
        )
    )
    before = "|".join(cased + overlooked * count for count in range(5))
    return f"(?<={before})Σ(?!{overlooked}*{cased})"


def to_json(tokenizer: Tokenizer) -> str:
    """The content of a `tokenizer.json`, compact."""
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")) + "\n"


def shipped_file() -> Path:
    """Where the project keeps the result."""
    return Path(str(files("mesh.hub.clip_import") / "tokenizer.json"))


def _class(belongs: Callable[[int], bool]) -> str:
    """A regular expression's class of all code points for which `belongs`, as ranges."""
    ranges: list[str] = []
    start: int | None = None
    for code in range(0x110001):
        inside = code < 0x110000 and not 0xD800 <= code < 0xE000 and belongs(code)
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            ranges.append(rf"\x{{{start:X}}}" if start == code - 1 else rf"\x{{{start:X}}}-\x{{{code - 1:X}}}")
            start = None
    return f"[{''.join(ranges)}]"


def _is_dropped(code: int) -> bool:
    if chr(code) in "\t\n\r":
        return False
    return code in (0, 0xFFFD) or unicodedata.category(chr(code)) in ("Cc", "Cf")


def _is_space(code: int) -> bool:
    return chr(code) in "\t\n\r" or unicodedata.category(chr(code)) == "Zs"


def _is_cjk(code: int) -> bool:
    return any(first <= code <= last for first, last in _CJK)


def _is_punctuation(code: int) -> bool:
    ascii_sign = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_sign or unicodedata.category(chr(code)).startswith("P")


def cn_clip_vocabulary() -> dict[str, int]:
    """The vocabulary inside the installed package cn-clip. Reads the file without importing cn-clip (and torch)."""
    from importlib.metadata import distribution

    return read_vocabulary(Path(str(distribution("cn-clip").locate_file("cn_clip/clip/vocab.txt"))))


if __name__ == "__main__":
    shipped_file().write_text(to_json(build(cn_clip_vocabulary())), "utf-8")
