import re

import pytest

from mesh.hub import catalogue
from mesh.hub.catalogue import Adapter, Family, SourceKind


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
        if entry.source.kind in (SourceKind.URL, SourceKind.PACKAGE):
            assert entry.files
            assert all(file.sha256 for file in entry.files), entry.name


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
    ours = [entry for entry in catalogue.entries(Family.CLIP) if entry.source.location.startswith("immich-app/")]
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


def test_families_do_not_mix() -> None:
    assert catalogue.find(Family.FACE, "ViT-B-32__openai") is None
    assert catalogue.find(Family.OCR, "PP-OCRv4") == catalogue.find(Family.OCR, "PP-OCRv4_mobile")
