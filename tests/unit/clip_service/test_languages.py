"""Immich's languages as NLLB names them."""

import pytest

from clip_service.languages import flores_code


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "eng_Latn"),
        ("de", "deu_Latn"),
        ("zh-CN", "zho_Hans"),
        ("zh", "zho_Hans"),
        ("zh_SIMPLIFIED", "zho_Hans"),
        ("zh-TW", "zho_Hant"),
        ("zh-Hant-HK", "zho_Hant"),
        ("pt-BR", "por_Latn"),
        ("nb-NO", "nob_Latn"),
        ("sr-Cyrl", "srp_Cyrl"),
        ("ja", "jpn_Jpan"),
        ("ko-KR", "kor_Hang"),
        ("ar", "arb_Arab"),
        ("tlh", "eng_Latn"),
        ("", "eng_Latn"),
    ],
)
def test_tags(tag: str, code: str) -> None:
    assert flores_code(tag) == code
