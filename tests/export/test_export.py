"""The exporter, on checkpoints of true architecture with random weights, saved as the official files are saved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mesh.core.errors import InvalidInputError, ModelNotFoundError
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.hub.clip_export import cn_clip, export, towers, verify
from mesh.hub.clip_export.cn_clip import ARCHITECTURES
from mesh.hub.clip_export.towers import ImageTower, TextTower, write_onnx
from mesh.hub.clip_import import tower
from mesh.hub.fetch.fetching import STAGING_FOLDER

SMALL: Mapping[str, Mapping[str, Any]] = {
    "ViT-B-16": {"vision_layers": 2, "vision_width": 128, "embed_dim": 64},
    "RN50": {"vision_layers": [1, 1, 1, 1], "vision_width": 16, "embed_dim": 64},
    "ViT-H-14": {"vision_layers": 2, "vision_width": 160, "embed_dim": 64},
}
TEXT = {"text_hidden_size": 96, "text_intermediate_size": 192, "text_num_hidden_layers": 2}


official_configuration = cn_clip.configuration


def small(name: str) -> dict[str, Any]:
    return official_configuration(ARCHITECTURES[name]) | dict(SMALL[name]) | TEXT


def random_model(config: Mapping[str, Any]) -> Any:
    """Weights spread so that different inputs give different vectors."""
    torch.manual_seed(0)
    model = cn_clip.build_model(config)
    for name, weight in model.bert.named_parameters():
        if name.endswith("weight") and weight.dim() == 2:
            torch.nn.init.normal_(weight, std=0.05)
    return model


def save_as_official(model: Any, path: Path) -> Path:
    """Half-precision weights under `module.`, a pooler that the model lacks, and what training adds."""
    weights = {f"module.{name}": value.half() for name, value in model.state_dict().items()}
    weights["module.bert.pooler.dense.weight"] = torch.zeros(4, 4, dtype=torch.half)
    torch.save({"epoch": 15, "step": 1, "name": "official", "state_dict": weights}, path)
    return path


@pytest.fixture(autouse=True)
def small_configurations(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "true_size" not in request.node.name:
        monkeypatch.setattr(cn_clip, "configuration", lambda architecture: small(architecture.name))


@pytest.mark.parametrize("name", SMALL)
def test_a_checkpoint_becomes_a_verified_model(name: str, tmp_path: Path) -> None:
    checkpoint = save_as_official(random_model(small(name)), tmp_path / "clip_cn.pt")
    steps: list[str] = []
    result = export.export(export.architecture(f"cn-clip/{name}"), checkpoint, tmp_path, tell=steps.append)
    assert result.folder == tmp_path / "clip" / f"{name}__cn-clip"
    assert layout.is_complete(Family.CLIP, result.folder)
    assert min(result.cosines.values()) > 0.9999
    assert result.strings == verify.STRINGS
    assert steps[0] == "reading clip_cn.pt"
    for part, shape, kind in (
        ("visual", ["batch", 3, 224, 224], "tensor(float)"),
        ("textual", ["batch", 52], "tensor(int32)"),
    ):
        session = onnxruntime.InferenceSession(str(result.folder / part / "model.onnx"))
        (given,), (wanted,) = session.get_inputs(), session.get_outputs()
        assert (given.name, given.shape, given.type) == ("image" if part == "visual" else "text", shape, kind)
        assert (wanted.name, wanted.shape) == ("embedding", ["batch", 64])
    assert not (tmp_path / STAGING_FOLDER / "export" / result.folder.name).exists()


@pytest.mark.parametrize("name", ["ViT-B-16", "RN50"])
def test_half_precision_lies_beside(name: str, tmp_path: Path) -> None:
    checkpoint = save_as_official(random_model(small(name)), tmp_path / "clip_cn.pt")
    result = export.export(ARCHITECTURES[name], checkpoint, tmp_path, fp16=True)
    for part in Family.CLIP.parts:
        half = layout.part_file(Family.CLIP, result.folder, part, fp16=True)
        assert half is not None
        assert half.name == "model_fp16.onnx"
        assert half.stat().st_size < 0.6 * (result.folder / part / "model.onnx").stat().st_size
        assert 0.999 < result.cosines[f"{part} fp16"] <= 1.0001


def test_weights_beyond_protobufs_limit_lie_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tower, "PROTOBUF_LIMIT_BYTES", 1000)
    checkpoint = save_as_official(random_model(small("ViT-B-16")), tmp_path / "clip_cn.pt")
    result = export.export(ARCHITECTURES["ViT-B-16"], checkpoint, tmp_path)
    graph = result.folder / "visual/model.onnx"
    assert graph.stat().st_size < graph.with_name("model.onnx.data").stat().st_size
    assert {path.name for path in graph.parent.iterdir()} == {"model.onnx", "model.onnx.data", "preprocess_cfg.json"}


def test_a_model_in_training_mode_is_what_makes_a_text_export_look_wrong(tmp_path: Path) -> None:
    """The 0.07: not the graph is off but the vectors that it is compared with."""
    model = random_model(small("ViT-B-16")).eval()
    module = TextTower(model).eval()
    write_onnx(module, tmp_path / "text.onnx")
    assert verify.verify_texts(module, tmp_path / "text.onnx", 0.9999) > 0.9999
    module.train()
    with pytest.raises(verify.NotEqualError, match="differs from torch"):
        verify.verify_texts(module, tmp_path / "text.onnx", 0.9999)
    with pytest.raises(ValueError, match="training mode"):
        write_onnx(module, tmp_path / "again.onnx")


def test_a_wrong_graph_is_noticed_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = save_as_official(random_model(small("ViT-B-16")), tmp_path / "clip_cn.pt")
    write = towers.write_onnx

    def damaging(module: Any, path: Path) -> None:
        write(module, path)
        model = onnx.load(str(path))
        largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        largest.raw_data = np.frombuffer(largest.raw_data, np.float32)[::-1].tobytes()
        onnx.save(model, str(path))

    monkeypatch.setattr(towers, "write_onnx", damaging)
    with pytest.raises(verify.NotEqualError):
        export.export(ARCHITECTURES["ViT-B-16"], checkpoint, tmp_path)
    assert not (tmp_path / "clip/ViT-B-16__cn-clip").exists()


def test_a_cached_model_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "clip/ViT-B-16__cn-clip"
    folder.mkdir(parents=True)
    with pytest.raises(InvalidInputError, match="already there"):
        export.export(ARCHITECTURES["ViT-B-16"], tmp_path / "any.pt", tmp_path)
    assert folder.is_dir()


def test_checkpoints_that_are_none(tmp_path: Path) -> None:
    config = small("ViT-B-16")
    with pytest.raises(ModelNotFoundError, match="no checkpoint"):
        cn_clip.load_checkpoint(tmp_path / "none.pt", config)
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(InvalidInputError, match="not a checkpoint"):
        cn_clip.load_checkpoint(tmp_path / "text.pt", config)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InvalidInputError, match="state_dict"):
        cn_clip.load_checkpoint(tmp_path / "list.pt", config)
    other = save_as_official(random_model(small("RN50")), tmp_path / "other.pt")
    with pytest.raises(InvalidInputError, match="another architecture"):
        cn_clip.load_checkpoint(other, config)
    with pytest.raises(InvalidInputError, match="choose one of cn-clip/ViT-B-16"):
        export.architecture("ViT-B-32__openai")


def test_vit_b_16_at_true_size(tmp_path: Path) -> None:
    config = cn_clip.configuration(ARCHITECTURES["ViT-B-16"])
    checkpoint = save_as_official(random_model(config), tmp_path / "clip_cn_vit-b-16.pt")
    result = export.export(ARCHITECTURES["ViT-B-16"], checkpoint, tmp_path)
    assert min(result.cosines.values()) > 0.9999
    assert (result.folder / "visual/model.onnx").stat().st_size == pytest.approx(345e6, rel=0.03)
    assert (result.folder / "textual/model.onnx").stat().st_size == pytest.approx(409e6, rel=0.03)
    session = onnxruntime.InferenceSession(str(result.folder / "textual/model.onnx"))
    tokens = cn_clip.tokenize(["一只狗", "一只猫在睡觉", "sunset"]).numpy().astype(np.int32)
    vectors = session.run(None, {"text": tokens})[0]
    assert vectors.shape == (3, 512)
    assert (vectors @ vectors.T)[0, 1] < 0.999


def test_all_five_architectures_are_known() -> None:
    for name, chosen in ARCHITECTURES.items():
        assert chosen.checkpoint == f"clip_cn_{name.lower()}.pt"
        assert export.architecture(f"{name}__cn-clip") is chosen


def test_no_node_carries_this_machines_paths(tmp_path: Path) -> None:
    write_onnx(ImageTower(random_model(small("RN50")).eval()).eval(), tmp_path / "model.onnx")
    model = onnx.load(str(tmp_path / "model.onnx"))
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
