"""Search queries become the tokens that each kind of CLIP model was trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from clip_service.tokenizer import ClipTokenizer
from mesh.core.errors import InvalidInputError, UnavailableError
from tests.builders.clip import CONTEXT_LENGTH, write_clip

# What cn-clip 1.6's own tokenizer gives (`cn_clip.clip.tokenize`, padding left out).
CN_CLIP = {
    "一只狗": [101, 671, 1372, 4318, 102],
    "杰尼龟": [101, 3345, 2225, 7991, 102],
    "A Photo of a CAT": [101, 143, 9020, 8205, 143, 10165, 102],
    "发票 2024-01-02 ￥1,234.50": [
        101, 1355, 4873, 9707, 8159, 118, 8146, 118, 8150, 8101, 8148, 117, 10129, 119, 8145, 102,
    ],
    "Café naïve ﬁn": [101, 8377, 11469, 8857, 100, 102],
    "東京タワー": [101, 3346, 776, 608, 13701, 8568, 102],
    "한국어": [101, 303, 10928, 9877, 13454, 13479, 11953, 13463, 13472, 102],
    "🐱👍🔥": [101, 100, 102],
    "hello\tworld\n再见": [101, 8701, 8572, 1086, 6224, 102],
    "   spaces   everywhere   ": [101, 9634, 8118, 12311, 11041, 8220, 10659, 102],
    "[CLS] not special [SEP]": [101, 138, 12847, 8118, 140, 9059, 9969, 138, 9463, 140, 102],
    "𠀀𪚥 rare": [101, 100, 100, 12773, 8154, 102],
    "x" * 300: [101, 100, 102],
    "狗" * 80: [101, *[4318] * (CONTEXT_LENGTH - 2), 102],
}  # fmt: skip


@pytest.fixture(scope="module")
def cn_clip(tmp_path_factory: pytest.TempPathFactory) -> ClipTokenizer:
    return ClipTokenizer("ViT-B-16__cn-clip", write_clip(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("text", CN_CLIP)
def test_same_tokens_as_cn_clip(cn_clip: ClipTokenizer, text: str) -> None:
    tokens, mask = cn_clip.encode(text)
    expected = CN_CLIP[text]
    padding = CONTEXT_LENGTH - len(expected)
    assert tokens.shape == mask.shape == (1, CONTEXT_LENGTH)
    assert tokens[0].tolist() == expected + [0] * padding
    assert mask[0].tolist() == [1] * len(expected) + [0] * padding


def test_language_is_ignored_by_models_that_do_not_take_it(cn_clip: ClipTokenizer) -> None:
    np.testing.assert_array_equal(cn_clip.encode("一只狗", "zh-CN")[0], cn_clip.encode("一只狗")[0])


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_empty_text(cn_clip: ClipTokenizer, text: str) -> None:
    with pytest.raises(InvalidInputError, match="empty"):
        cn_clip.encode(text)


def test_megabytes_of_text_are_cut_before_they_are_tokenized(cn_clip: ClipTokenizer) -> None:
    np.testing.assert_array_equal(cn_clip.encode("狗" * 5_000_000)[0], cn_clip.encode("狗" * 80)[0])


VOCABULARY = {"<pad>": 1, "<unk>": 3, "dog": 10, "a": 11, "it's": 12, "its": 13, "A": 14, "zho_Hans狗": 15, "狗": 16,
              "eng_Latn狗": 17}  # fmt: skip


def write_words(folder: Path, *, text_config: dict[str, object] | None, pad: object = "<pad>") -> Path:
    """A model folder whose tokenizer knows whole words only."""
    (folder / "textual").mkdir(parents=True)
    tokenizer = Tokenizer(WordLevel(VOCABULARY, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / "textual" / "tokenizer.json"))
    if pad is not None:
        (folder / "textual" / "tokenizer_config.json").write_text(json.dumps({"pad_token": pad}))
    (folder / "config.json").write_text(json.dumps({} if text_config is None else {"text_cfg": text_config}))
    return folder


def test_context_length_comes_from_the_config(tmp_path: Path) -> None:
    tokenizer = ClipTokenizer("any", write_words(tmp_path, text_config={"context_length": 4}))
    assert tokenizer.encode("dog a dog")[0].tolist() == [[10, 11, 10, 1]]
    assert tokenizer.encode("dog a dog a a a")[0].tolist() == [[10, 11, 10, 11]]


def test_context_length_of_open_clip_when_nothing_is_said(tmp_path: Path) -> None:
    assert ClipTokenizer("any", write_words(tmp_path, text_config=None)).encode("dog")[0].shape == (1, 77)


def test_pad_token_may_be_an_object(tmp_path: Path) -> None:
    pad = {"content": "<pad>", "lstrip": False}
    tokenizer = ClipTokenizer("any", write_words(tmp_path, text_config={"context_length": 2}, pad=pad))
    assert tokenizer.encode("dog")[0].tolist() == [[10, 1]]


def test_canonicalized_models_lose_case_and_punctuation(tmp_path: Path) -> None:
    config = {"context_length": 2, "tokenizer_kwargs": {"clean": "canonicalize"}}
    tokenizer = ClipTokenizer("ViT-B-16-SigLIP2__webli", write_words(tmp_path, text_config=config))
    assert tokenizer.encode("It's A!")[0].tolist() == [[13, 11]]


def test_nllb_models_take_the_language_first(tmp_path: Path) -> None:
    folder = write_words(tmp_path, text_config={"context_length": 1})
    tokenizer = ClipTokenizer("nllb-clip-base-siglip__v1", folder)
    assert tokenizer.encode("狗", "zh-CN")[0].tolist() == [[15]]
    assert tokenizer.encode("狗", "tlh")[0].tolist() == [[17]]
    assert tokenizer.encode("狗")[0].tolist() == [[16]]


def test_missing_and_damaged_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"config\.json"):
        ClipTokenizer("any", tmp_path)
    folder = write_words(tmp_path / "a", text_config=None, pad="<nothing>")
    with pytest.raises(UnavailableError, match="no token '<nothing>'"):
        ClipTokenizer("any", folder)
    with pytest.raises(UnavailableError, match="names no pad_token"):
        ClipTokenizer("any", write_words(tmp_path / "b", text_config=None, pad=None))
    (folder / "textual" / "tokenizer.json").write_text("{")
    with pytest.raises(UnavailableError, match=r"tokenizer\.json"):
        ClipTokenizer("any", folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(UnavailableError, match="not a JSON object"):
        ClipTokenizer("any", folder)
