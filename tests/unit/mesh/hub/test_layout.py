from pathlib import Path

import pytest

from mesh.core.errors import InvalidInputError
from mesh.hub import layout
from mesh.hub.catalogue import Family
from tests.builders import write_clip, write_faces, write_insightface


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..", ".", "", "a/b", "a\\b", "/etc", "a\0b", "a..b", "-rf", "x" * 200, "名", "a b", "a\n"],
)
def test_names_that_could_lead_out_of_the_cache_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="not a model name"):
        layout.model_folder(tmp_path, Family.CLIP, name)


@pytest.mark.parametrize("name", ["ViT-B-16__cn-clip", "buffalo_l", "PP-OCRv5_mobile", "nllb-clip-base-siglip__v1"])
def test_model_names_become_folders(tmp_path: Path, name: str) -> None:
    assert layout.model_folder(tmp_path, Family.FACE, name) == tmp_path / "facial-recognition" / name


def test_immichs_layout_is_complete(tmp_path: Path) -> None:
    clip, faces = write_clip(tmp_path), write_faces(tmp_path)
    assert layout.is_complete(Family.CLIP, clip)
    assert layout.is_complete(Family.FACE, faces)
    assert layout.part_file(Family.FACE, faces, "detection") == faces / "detection/model.onnx"
    (clip / "textual/tokenizer.json").unlink()
    assert layout.missing_files(Family.CLIP, clip) == ["textual/tokenizer.json"]


def test_insightfaces_own_folder_is_complete(tmp_path: Path) -> None:
    folder = write_insightface(tmp_path)
    (folder / "2d106det.onnx").touch()
    (folder / "genderage.onnx").touch()
    assert layout.is_complete(Family.FACE, folder)
    assert layout.part_file(Family.FACE, folder, "detection") == folder / "det_10g.onnx"
    assert layout.part_file(Family.FACE, folder, "recognition") == folder / "w600k_r50.onnx"


def test_two_detectors_in_one_folder_are_no_choice(tmp_path: Path) -> None:
    folder = write_insightface(tmp_path)
    (folder / "det_500m.onnx").touch()
    assert layout.part_file(Family.FACE, folder, "detection") is None


def test_half_precision_is_used_when_asked_for_and_there(tmp_path: Path) -> None:
    folder = write_clip(tmp_path)
    assert layout.part_file(Family.CLIP, folder, "visual", fp16=True) == folder / "visual/model.onnx"
    (folder / "visual/model_fp16.onnx").touch()
    assert layout.part_file(Family.CLIP, folder, "visual", fp16=True) == folder / "visual/model_fp16.onnx"
    assert layout.part_file(Family.CLIP, folder, "visual") == folder / "visual/model.onnx"
