"""The shipped tokenizer gives cn-clip's ids, for every code point and for thousands of strings."""

import random
import sys

import pytest
from tokenizers import Tokenizer

from mesh.hub.clip_export import cn_clip
from mesh.hub.clip_export import tokenizer as exported
from mesh.hub.clip_export.verify import NotEqualError, mixed_strings, verify_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(exported.shipped_file()))


def test_the_shipped_file_is_what_the_code_makes() -> None:
    made = exported.to_json(exported.build(exported.cn_clip_vocabulary()))
    assert exported.shipped_file().read_text("utf-8") == made


def test_mixed_strings_get_the_same_ids(tokenizer: Tokenizer) -> None:
    assert verify_tokenizer(tokenizer, strings=5000) == 5000


def test_the_mixed_strings_are_of_all_kinds() -> None:
    texts = mixed_strings(3000)
    assert len(set(texts)) > 2900
    assert max(map(len, texts)) == 10_000
    assert "" in texts
    everything = "".join(texts)
    for sign in "狗ａ😀“ñй\ue000[":
        assert sign in everything


def test_every_code_point_is_treated_alike(tokenizer: Tokenizer) -> None:
    """Inside a word, where dropping, splitting and replacing show. Private-use planes 15 and 16 by sample."""
    codes = [*range(0x20000), *range(0x20000, 0x30000, 7), *range(0xE0000, 0xE0200), 0xF0000, 0x10FFFD]
    texts = [f"a{chr(code)}b" for code in codes if not 0xD800 <= code < 0xE000]
    ours = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    theirs = cn_clip.package()._tokenizer
    for text, ids in zip(texts, ours, strict=True):
        assert ids[1:-1] == theirs.convert_tokens_to_ids(theirs.tokenize(text)), hex(ord(text[1]))


def test_another_tokenizer_is_noticed(tokenizer: Tokenizer) -> None:
    other = Tokenizer.from_str(tokenizer.to_str().replace('"lowercase"', '"Lowercase"'))
    other.normalizer = None
    with pytest.raises(NotEqualError, match="other ids"):
        verify_tokenizer(other, strings=200)


def test_cn_clip_was_imported_without_torchvision() -> None:
    cn_clip.package()
    assert "torchvision" not in sys.modules or hasattr(sys.modules["torchvision"], "__version__")


def test_long_random_text_is_cut_at_the_same_token(tokenizer: Tokenizer) -> None:
    choose = random.Random(1)
    texts = ["".join(choose.choice("狗a ,“é🤣") for _ in range(length)) for length in range(40, 400, 3)]
    cut = Tokenizer.from_str(tokenizer.to_str())
    cut.enable_truncation(52)
    for text, row in zip(texts, cn_clip.tokenize(texts).tolist(), strict=True):
        ids = cut.encode(text).ids
        assert ids + [0] * (52 - len(ids)) == row
