"""A model's characters, wherever they are kept."""

from pathlib import Path

import numpy as np
import pytest

from mesh.core.errors import ModelNotFoundError
from ocr_service.recognition.characters import FOREIGN_WEIGHT, half_known_letters, language_weights, read_characters


def test_metadata_first(tmp_path: Path) -> None:
    (tmp_path / "dict.txt").write_text("x\n", "utf-8")
    assert read_characters({"character": "a\n中\n\u3000"}, tmp_path) == ["a", "中", "\u3000"]


def test_paddles_own_settings_file(tmp_path: Path) -> None:
    (tmp_path / "inference.yml").write_text("PostProcess:\n  character_dict: [a, '1', 2, 中]\n", "utf-8")
    assert read_characters({}, tmp_path) == ["a", "1", "2", "中"]


def test_a_dictionary_file(tmp_path: Path) -> None:
    (tmp_path / "ppocr_keys_v1.txt").write_text("a\n中\n", "utf-8")
    assert read_characters({}, tmp_path) == ["a", "中"]


@pytest.mark.parametrize("content", ["PostProcess: {}", "nonsense", ""])
def test_a_settings_file_without_characters_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "inference.yml").write_text(content, "utf-8")
    with pytest.raises(ModelNotFoundError, match="character_dict"):
        read_characters({}, tmp_path)


def test_weights_of_a_language() -> None:
    characters = ["blank", "a", "中", "か", "カ", "한", "é", " "]
    assert language_weights("", characters) is None
    foreign = {"en": [2, 3, 4, 5], "zh-Hant": [3, 4, 5], "ja": [5], "ko-KR": [3, 4]}
    for language, indices in foreign.items():
        weights = language_weights(language, characters)
        assert weights is not None
        assert np.flatnonzero(weights == np.float32(FOREIGN_WEIGHT)).tolist() == indices, language


def test_scripts_that_are_known_in_part() -> None:
    greek = "αβγδεζηθικλμνξοπρστυφχψω"
    cyrillic = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
    assert {"α", "Ω", "ώ"} <= half_known_letters([*greek, *cyrillic])
    assert "а" not in half_known_letters([*greek, *cyrillic])
    assert not half_known_letters([*greek, *"ςάέήίόύώ", *cyrillic])
    assert "Ж" in half_known_letters(["a", "b"])
