"""From a search query to token numbers: the model's own tokenizer.json, padded and cut to its context length."""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from clip_service.languages import flores_code
from mesh.core.errors import InvalidInputError, UnavailableError

DEFAULT_CONTEXT_LENGTH = 77
"""open_clip's, for models whose config.json does not say."""

LONGEST_TOKEN = 64
"""Characters of the longest word that counts as one token, generously: text beyond this many per token is cut off
before it is tokenized, so that a query of megabytes costs no more than a sentence."""

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class ClipTokenizer:
    """The tokenizer of one model, thread-safe.

    Args:
        name: the model's; names that start with `nllb` take the query's language as the first token.
        folder: the model's, in Immich's layout.

    Raises:
        UnavailableError: a file is missing or damaged, or names no padding token.
    """

    def __init__(self, name: str, folder: Path) -> None:
        text_config = _read_json(folder / "config.json").get("text_cfg", {})
        self.context_length = int(text_config.get("context_length", DEFAULT_CONTEXT_LENGTH))
        self._lower_case = (text_config.get("tokenizer_kwargs") or {}).get("clean") == "canonicalize"
        self._takes_language = name.startswith("nllb")
        self._tokenizer = _load(folder / "textual" / "tokenizer.json")
        pad_token = self._pad_token(folder / "textual" / "tokenizer_config.json")
        pad_id = self._tokenizer.token_to_id(pad_token)
        if pad_id is None:
            raise UnavailableError(f"{folder}/textual/tokenizer.json has no token {pad_token!r} to pad with")
        self._tokenizer.enable_padding(length=self.context_length, pad_id=pad_id, pad_token=pad_token)
        self._tokenizer.enable_truncation(max_length=self.context_length)

    def encode(self, text: str, language: str = "") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Token numbers and attention mask (1 for text, 0 for padding), both of shape (1, context length).

        Args:
            text: the query; more than the context length is cut off.
            language: BCP 47 tag of the query's language; empty for unknown.

        Raises:
            InvalidInputError: nothing but white space.
        """
        text = " ".join(text[: self.context_length * LONGEST_TOKEN].split())
        if not text:
            raise InvalidInputError("the text is empty: send what to look for")
        if self._lower_case:
            text = text.translate(_NO_PUNCTUATION).lower()
        if self._takes_language and language:
            text = flores_code(language) + text
        encoding = self._tokenizer.encode(text)
        return np.array([encoding.ids], np.int64), np.array([encoding.attention_mask], np.int64)

    def _pad_token(self, config_file: Path) -> str:
        """As tokenizer_config.json says, else as tokenizer.json itself does."""
        configured = _read_json(config_file).get("pad_token") if config_file.is_file() else None
        if isinstance(configured, dict):
            configured = configured.get("content")
        padding = self._tokenizer.padding
        token = configured or (padding["pad_token"] if padding else None)
        if not token:
            raise UnavailableError(f"{config_file} names no pad_token: fetch the model again")
        return str(token)


def _load(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:
        # The library raises plain `Exception` for whatever is wrong with the file.
        raise UnavailableError(f"cannot read {file}: {error}") from error


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UnavailableError(f"cannot read {file}: {error}") from error
    if not isinstance(content, dict):
        raise UnavailableError(f"{file} is not a JSON object: fetch the model again")
    return content
