"""Makes the files of `tests/integration/hub/data`: small models of true architecture, shaped like the hub's.

Run by hand, where torch, cn-clip and transformers are installed:

    PYTHONPATH=. python tests/export/make_fixtures.py

- `pair-torchscript`, `pair-dynamo`: what cn-clip's conversion script writes with torch's older and newer exporter, as
  in `eisneim/cn-clip_vit-b-16`: batch of one, outputs not normalised.
- `joint`: what Optimum writes of `transformers`' ChineseCLIPModel, as in `Xenova/chinese-clip-vit-base-patch16`.
- `answers.npz`: inputs, and torch's own normalised embeddings of them.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from transformers import ChineseCLIPConfig, ChineseCLIPModel  # type: ignore[import-not-found]

from mesh.hub.clip_export.cn_clip import build_model

DATA = Path(__file__).parents[1] / "integration/hub/data"
SIZE = 32

CN_CLIP: dict[str, Any] = {
    "embed_dim": 8,
    "image_resolution": SIZE,
    "vision_layers": 2,
    "vision_width": 16,
    "vision_patch_size": 8,
    "vision_head_width": 8,
    "vocab_size": 256,
    "text_attention_probs_dropout_prob": 0.1,
    "text_hidden_act": "gelu",
    "text_hidden_dropout_prob": 0.1,
    "text_hidden_size": 16,
    "text_initializer_range": 0.4,
    "text_intermediate_size": 32,
    "text_max_position_embeddings": 64,
    "text_num_attention_heads": 2,
    "text_num_hidden_layers": 2,
    "text_type_vocab_size": 2,
}


def main() -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 3, SIZE, SIZE)
    texts = torch.zeros(3, 52, dtype=torch.long)
    for row, length in enumerate((2, 20, 52)):
        texts[row, :length] = torch.randint(1, 256, (length,))
    answers = {"images": images.numpy(), "texts": texts.numpy()}

    model = build_model(CN_CLIP).eval()
    with torch.no_grad():
        answers["pair_images"] = _normalised(model.encode_image(images))
        answers["pair_texts"] = _normalised(model.encode_text(texts))
    for name, dynamo in (("pair-torchscript", False), ("pair-dynamo", True)):
        folder = DATA / name
        folder.mkdir(parents=True, exist_ok=True)
        blank = torch.zeros(1, 52, dtype=torch.long)
        blank[0, :2] = torch.tensor([101, 102])
        _export(model, (None, blank), folder / "vit-b-16.txt.fp32.onnx", "text", "unnorm_text_features", dynamo)
        _export(model, (images[:1], None), folder / "vit-b-16.img.fp32.onnx", "image", "unnorm_image_features", dynamo)

    joint = _Joint().eval()
    with torch.no_grad():
        _, _, text_embeds, image_embeds = joint(texts, images, (texts != 0).long())
    answers["joint_texts"], answers["joint_images"] = _normalised(text_embeds), _normalised(image_embeds)
    _export_joint(joint, texts, images)
    np.savez_compressed(DATA / "answers.npz", **answers)


class _Joint(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        text = {"vocab_size": 256, "hidden_size": 16, "max_position_embeddings": 64, "initializer_range": 0.4}
        vision = {"hidden_size": 16, "image_size": SIZE, "patch_size": 8}
        both = {"intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        config = ChineseCLIPConfig(text_config=text | both, vision_config=vision | both, projection_dim=8)
        self.model = ChineseCLIPModel(config)

    def forward(self, input_ids: Any, pixel_values: Any, attention_mask: Any) -> Any:
        out = self.model(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask)
        return out.logits_per_image, out.logits_per_text, out.text_embeds, out.image_embeds


def _export(model: Any, inputs: Any, path: Path, given: str, wanted: str, dynamo: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        torch.onnx.export(
            model,
            inputs,
            str(raw),
            input_names=[given],
            output_names=[wanted],
            opset_version=18 if dynamo else 14,
            do_constant_folding=given == "text",
            dynamo=dynamo,
        )
        _save(onnx.load(str(raw)), path)


def _export_joint(joint: Any, texts: Any, images: Any) -> None:
    folder = DATA / "joint"
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    text = {0: "text_batch_size", 1: "sequence_length"}
    image = {0: "image_batch_size", 1: "num_channels", 2: "height", 3: "width"}
    with tempfile.TemporaryDirectory() as temporary:
        raw = Path(temporary) / "raw.onnx"
        torch.onnx.export(
            joint,
            (texts[:2], images, (texts[:2] != 0).long()),
            str(raw),
            input_names=["input_ids", "pixel_values", "attention_mask"],
            output_names=["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"],
            dynamic_axes={
                "input_ids": text,
                "attention_mask": text,
                "pixel_values": image,
                "logits_per_image": {0: "image_batch_size", 1: "text_batch_size"},
                "logits_per_text": {0: "text_batch_size", 1: "image_batch_size"},
                "text_embeds": {0: "text_batch_size"},
                "image_embeds": {0: "image_batch_size"},
            },
            opset_version=14,
            dynamo=False,
        )
        _save(onnx.load(str(raw)), folder / "onnx/model.onnx")
    settings = {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ChineseCLIPFeatureExtractor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "size": {"height": SIZE, "width": SIZE},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def _save(model: onnx.ModelProto, path: Path) -> None:
    """Without the exporter's notes, which name this machine's paths."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    onnx.save(model, str(path))


def _normalised(vectors: Any) -> Any:
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


if __name__ == "__main__":
    main()
