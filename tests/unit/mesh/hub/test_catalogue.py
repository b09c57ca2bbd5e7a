import re
import tomllib
from importlib.resources import files
from pathlib import Path

import onnx
import pytest

from mesh.hub import catalogue, layout
from mesh.hub.catalogue import Adapter, Family, SourceKind
from mesh.hub.store import ModelStore


def test_every_entry_is_complete() -> None:
    for entry in catalogue.entries():
        assert entry.size_bytes > 1_000_000, entry.name
        assert entry.licence, entry.name
        assert (entry.dimension is None) == (entry.family is Family.OCR), entry.name
        for file in entry.files:
            assert not file.target.startswith("/")
            assert ".." not in file.target
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_names_and_aliases_are_unique() -> None:
    for family in Family:
        names = [name for entry in catalogue.entries(family) for name in (entry.name, *entry.aliases)]
        assert len(names) == len(set(names))


def test_files_from_anywhere_but_the_hub_have_their_checksums_here() -> None:
    for entry in catalogue.entries():
        for source in entry.sources:
            if source.kind in (SourceKind.URL, SourceKind.PACKAGE):
                assert source.files
                assert all(file.sha256 for file in source.files), entry.name


@pytest.mark.parametrize(
    ("name", "dimension"),
    [
        ("ViT-B-32__openai", 512),
        ("XLM-Roberta-Large-Vit-B-16Plus", 640),
        ("ViT-L-14__openai", 768),
        ("RN50__openai", 1024),
        ("ViT-SO400M-16-SigLIP2-384__webli", 1152),
        ("ViT-gopt-16-SigLIP2-384__webli", 1536),
        ("ViT-B-16__cn-clip", 512),
        ("cn-clip/ViT-L-14", 768),
        ("cn-clip/ViT-H-14", 1024),
        ("RN50__cn-clip", 1024),
        ("ViT-B-32::openai", 512),
        ("M-CLIP/LABSE-Vit-L-14", 768),
        ("no-such-model", None),
        ("../../etc/passwd", None),
        ("", None),
    ],
)
def test_clip_dimension(name: str, dimension: int | None) -> None:
    assert catalogue.clip_dimension(name) == dimension


def test_every_dimension_of_ours_has_immich_names_to_choose() -> None:
    ours = {entry.dimension for entry in catalogue.entries(Family.CLIP) if "cn-clip" in entry.name}
    for dimension in ours:
        assert dimension is not None
        names = catalogue.clip_names(dimension)
        assert names
        assert not any("cn-clip" in name for name in names)


def test_immichs_whole_list_is_there() -> None:
    ours = [entry for entry in catalogue.entries(Family.CLIP) if entry.source.is_immichs]
    assert len(ours) == 58


def test_chinese_clip_comes_ready_made_or_by_export() -> None:
    kinds = {name: _source(f"cn-clip/{name}") for name in ("ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "RN50")}
    assert kinds == {
        "ViT-B-16": (SourceKind.HUB, Adapter.CN_CLIP_JOINT),
        "ViT-L-14": (SourceKind.HUB, Adapter.CN_CLIP_JOINT),
        "ViT-L-14-336": (SourceKind.HUB, Adapter.CN_CLIP_JOINT),
        "ViT-H-14": (SourceKind.EXPORT, None),
        "RN50": (SourceKind.EXPORT, None),
    }


def _source(name: str) -> tuple[SourceKind, Adapter | None]:
    entry = catalogue.find(Family.CLIP, name)
    assert entry is not None
    return entry.source.kind, entry.source.adapter


LETTERS = {
    "az": "çəğıöşü", "cs": "áčďéěíňóřšťúůýž", "cy": "ŵŷ", "da": "æøå", "de": "äöüß", "es": "áéíñóúü¿", "et": "äõöüšž",
    "fr": "àâæçéèêëîïôœùûüÿ", "hr": "čćđšž", "hu": "áéíóöőúüű", "is": "áðéíóúýþæö", "lt": "ąčęėįšųūž",
    "lv": "āčēģīķļņšūž", "mi": "āēīōū", "pl": "ąćęłńóśźż", "pt": "ãáâàçéêíõóôú", "ro": "ăâîșț",
    "sk": "áäčďéíĺľňóôŕšťúýž",     "sq": "çë", "sv": "åäö", "tr": "çğıöşü",
}  # fmt: skip
"""Letters beyond a to z."""


def test_the_default_ocr_model_has_the_letters_of_the_languages_that_it_is_said_to_read() -> None:
    entry = catalogue.find(Family.OCR, "PP-OCRv6_small")
    folder = ModelStore(Path("/nonexistent"), offline=True).fetch(Family.OCR, "PP-OCRv6_small")
    graph = layout.part_file(Family.OCR, folder, "recognition")
    assert entry is not None
    assert graph is not None
    metadata = onnx.load(graph).metadata_props
    known = set(next(one.value for one in metadata if one.key == "character").split("\n"))
    assert set("发票發おア") <= known
    for language, letters in LETTERS.items():
        assert language in entry.languages
        assert set(letters) <= known, language
    missing = {"vi": "ạảấầẩệộ", "ru": "бдж", "ko": "가나", "el": "ήώ", "th": "กข"}
    for language, letters in missing.items():
        assert language not in entry.languages
        assert not set(letters) <= known, language


def test_names_of_languages_are_answered_by_models_that_read_them() -> None:
    for entry in catalogue.entries(Family.OCR):
        assert entry.languages, entry.name
        if entry.detector:
            assert catalogue.holder(Family.OCR, entry.name, "detection") == "PP-OCRv6_small"
            assert [file.target for file in entry.files] == ["recognition/model.onnx"]
            assert catalogue.stands_in("PP-OCRv6_small", entry.name) == (entry.name == "EN__PP-OCRv5_mobile")
            assert catalogue.stands_in(entry.name, entry.name)
    assert not catalogue.stands_in("PP-OCRv6_small", "HE__PP-OCRv9_mobile")
    assert catalogue.stands_in("PP-OCRv6_small", "PP-OCRv9_mobile")


def test_pins_are_those_of_repositories_that_are_used() -> None:
    used = {source.location for entry in catalogue.entries() for source in (*entry.sources, entry.checkpoint) if source}
    pins = tomllib.loads((files("mesh.hub") / "pins.toml").read_text("utf-8"))
    assert set(pins) <= used
    for pin in pins.values():
        assert re.fullmatch("[0-9a-f]{40}", pin.get("revision", "0" * 40))
        assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in pin.get("sha256", {}).values())


def test_the_default_models_are_pinned() -> None:
    for family, name in ((Family.CLIP, "ViT-B-16__cn-clip"), (Family.FACE, "buffalo_l")):
        entry = catalogue.find(family, name)
        assert entry is not None
        assert re.fullmatch("[0-9a-f]{40}", entry.source.revision)
        assert all(file.sha256 for file in entry.files)
        assert {path for path in entry.source.pins if path.endswith(".onnx")}


def test_the_default_clip_model_hangs_on_no_single_account() -> None:
    entry = catalogue.find(Family.CLIP, "ViT-B-16__cn-clip")
    assert entry is not None
    assert len({source.location for source in entry.sources}) == 3
    assert {source.kind for source in entry.sources} == {SourceKind.HUB, SourceKind.URL}


def test_families_do_not_mix() -> None:
    assert catalogue.find(Family.FACE, "ViT-B-32__openai") is None
    assert catalogue.find(Family.OCR, "PP-OCRv4") == catalogue.find(Family.OCR, "PP-OCRv4_mobile")
