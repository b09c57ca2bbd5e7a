"""Ready-made Chinese-CLIP files become Immich's layout; `data` holds small ones, see tests/export/make_fixtures.py."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper

from mesh.core.errors import UnavailableError
from mesh.hub import catalogue, layout
from mesh.hub.catalogue import Family
from mesh.hub.clip_import.batch.axis import open_batch_axis
from mesh.hub.clip_import.batch.view import CannotOpenError
from mesh.hub.clip_import.joint import adapt_joint
from mesh.hub.clip_import.pair import adapt_pair
from mesh.hub.entry import SourceKind
from mesh.hub.fetch.progress import DownloadProgress, FetchStage
from mesh.hub.fetch.remote_file import Patience
from mesh.hub.store import ModelStore
from tests.builders.graph import Graph
from tests.builders.hub import fake_hub

DATA = Path(__file__).parent / "data"
EXPORTERS = ("pair-torchscript", "pair-dynamo")
Vectors = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def answers() -> dict[str, npt.NDArray[Any]]:
    return dict(np.load(DATA / "answers.npz"))


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_pair_answers_like_torch_in_batches(
    exporter: str, tmp_path: Path, answers: dict[str, npt.NDArray[Any]]
) -> None:
    adapt_pair(DATA / exporter, tmp_path)
    assert layout.missing_files(Family.CLIP, tmp_path) == []
    _check_tower(tmp_path / "visual/model.onnx", "image", answers["images"], answers["pair_images"])
    _check_tower(tmp_path / "textual/model.onnx", "text", answers["texts"].astype(np.int32), answers["pair_texts"])


def test_a_joint_graph_is_split_and_answers_like_torch(tmp_path: Path, answers: dict[str, npt.NDArray[Any]]) -> None:
    adapt_joint(DATA / "joint", tmp_path)
    assert layout.missing_files(Family.CLIP, tmp_path) == []
    _check_tower(tmp_path / "visual/model.onnx", "image", answers["images"], answers["joint_images"])
    _check_tower(tmp_path / "textual/model.onnx", "text", answers["texts"].astype(np.int32), answers["joint_texts"])
    names = [{tensor.name for tensor in _initializers(tmp_path / part / "model.onnx")} for part in Family.CLIP.parts]
    assert not any("word_embeddings" in name for name in names[0])
    assert not any("patch_embedding" in name for name in names[1])


def _check_tower(path: Path, given: str, items: npt.NDArray[Any], expected: Vectors) -> None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    assert (source.name, source.shape[0], target.name, target.shape) == (given, "batch", "embedding", ["batch", 8])
    for batch in (items, items[:1], items[1:]):
        together = session.run(None, {given: batch})[0]
        start = len(items) - len(batch) if len(batch) == 2 else 0
        assert ((together * expected[start : start + len(batch)]).sum(axis=1) > 0.99999).all()
        assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    assert (expected @ expected.T)[~np.eye(len(items), dtype=bool)].max() < 0.9999  # the items do differ


def _initializers(path: Path) -> list[onnx.TensorProto]:
    return list(onnx.load(str(path)).graph.initializer)


def test_the_small_files_fit_the_graphs(tmp_path: Path) -> None:
    adapt_joint(DATA / "joint", tmp_path)
    preprocessing = json.loads((tmp_path / "visual/preprocess_cfg.json").read_text())
    assert preprocessing["size"] == [32, 32]
    assert preprocessing["resize_mode"] == "squash"
    assert preprocessing["mean"][0] == pytest.approx(0.48145466)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["embed_dim"] == 8
    assert config["text_cfg"]["context_length"] == 52
    assert json.loads((tmp_path / "textual/tokenizer_config.json").read_text())["pad_token"] == "[PAD]"


def test_a_graph_that_mixes_items_keeps_its_batch_of_one(tmp_path: Path) -> None:
    """Its answers stay right; the engine serves it one by one."""
    source = tmp_path / "source"
    shutil.copytree(DATA / "pair-dynamo", source)
    path = source / "vit-b-16.txt.fp32.onnx"
    model = onnx.load(str(path))
    output = model.graph.output[0].name
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("CumSum", ["before", "last_axis"], [output]))
    model.graph.initializer.append(helper.make_tensor("last_axis", onnx.TensorProto.INT64, [], [1]))
    onnx.save(model, str(path))
    adapt_pair(source, tmp_path / "model")
    session = onnxruntime.InferenceSession(str(tmp_path / "model/textual/model.onnx"))
    assert session.get_inputs()[0].shape == [1, 52]
    assert session.get_outputs()[0].shape == [1, 8]


@pytest.mark.parametrize("kind", ["sum over items", "items flattened"])
def test_what_would_mix_items_is_not_opened(kind: str) -> None:
    graph = Graph()
    text = graph.input("text", [1, 4])
    if kind == "sum over items":
        mixed = graph.op("Add", text, graph.op("ReduceSum", text, graph.weight([0]), keepdims=1))
    else:
        mixed = graph.op("Reshape", graph.op("Transpose", text, perm=[1, 0]), graph.weight([1, 4]))
    graph.output(mixed, "out", [1, 4])
    with pytest.raises(CannotOpenError):
        open_batch_axis(graph.model())


def test_first_use_downloads_and_converts_with_progress(tmp_path: Path) -> None:
    content = {path.name: path.read_bytes() for path in (DATA / "pair-dynamo").iterdir()}
    seen: list[DownloadProgress] = []
    with fake_hub({"eisneim/cn-clip_vit-b-16": content | {"vocab.txt": b"another model's"}}) as hub:
        hub.behave("vit-b-16.img.fp32.onnx").cuts = [20_000]
        folder = ModelStore(tmp_path, endpoint=hub.endpoint).fetch(Family.CLIP, "cn-clip/ViT-B-16", seen.append)
        assert folder == tmp_path / "clip/ViT-B-16__cn-clip"
        assert layout.is_complete(Family.CLIP, folder)
        assert hub.downloads("vocab.txt") == []
    assert [one.stage for one in seen][-1] is FetchStage.ADAPTING
    assert seen[-1].done_bytes == seen[-1].total_bytes == sum(map(len, content.values()))
    assert not (tmp_path / ".downloads/clip").exists() or not any((tmp_path / ".downloads/clip").iterdir())


def test_a_joint_model_comes_by_its_name(tmp_path: Path) -> None:
    source = DATA / "joint"
    content = {str(path.relative_to(source)): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    with fake_hub({"Xenova/chinese-clip-vit-large-patch14": content}) as hub:
        folder = ModelStore(tmp_path, endpoint=hub.endpoint).fetch(Family.CLIP, "cn-clip/ViT-L-14")
    assert layout.is_complete(Family.CLIP, folder)


@pytest.mark.parametrize("content", [b"not a graph", b""])
def test_files_that_are_no_graphs_are_an_error_that_says_so(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = catalogue.find(Family.CLIP, "ViT-B-16__cn-clip")
    assert entry is not None
    hubs_only = replace(entry, sources=tuple(one for one in entry.sources if one.kind is SourceKind.HUB))
    monkeypatch.setattr(catalogue, "find", lambda *_: hubs_only)
    files = {"vit-b-16.img.fp32.onnx": content, "vit-b-16.txt.fp32.onnx": content}
    with fake_hub({"eisneim/cn-clip_vit-b-16": files}) as hub:
        one = ModelStore(tmp_path, endpoint=hub.endpoint, patience=Patience(attempts=1))
        with pytest.raises(UnavailableError, match="cannot be converted"):
            one.fetch(Family.CLIP, "ViT-B-16__cn-clip")
    assert one.find(Family.CLIP, "ViT-B-16__cn-clip") is None


def test_closing_the_store_ends_a_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = tmp_path / "python"
    endless.write_text("#!/bin/sh\nexec sleep 100\n")
    endless.chmod(0o755)
    monkeypatch.setattr("mesh.hub.fetch.conversion.sys.executable", str(endless))
    content = {path.name: path.read_bytes() for path in (DATA / "pair-dynamo").iterdir()}
    with fake_hub({"eisneim/cn-clip_vit-b-16": content}) as hub:
        one = ModelStore(tmp_path / "cache", endpoint=hub.endpoint)

        def stop(progress: DownloadProgress) -> None:
            if progress.stage is FetchStage.ADAPTING:
                one.close()

        with pytest.raises(UnavailableError, match="stopped"):
            one.fetch(Family.CLIP, "cn-clip/ViT-B-16", stop)
        monkeypatch.undo()
        asked = len(hub.downloads("vit-b-16.img.fp32.onnx"))
        again = ModelStore(tmp_path / "cache", endpoint=hub.endpoint)
        assert layout.is_complete(Family.CLIP, again.fetch(Family.CLIP, "cn-clip/ViT-B-16"))
        assert len(hub.downloads("vit-b-16.img.fp32.onnx")) == asked
