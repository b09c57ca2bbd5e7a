"""Photos and queries get the vectors that the known-answer model gives them, whatever the model's layout."""

import asyncio
import io
import threading
from pathlib import Path

import grpc
import numpy as np
import PIL.Image
import pytest
from immich_mesh.model.v1 import model_pb2, model_pb2_grpc

from mesh.serving.inference.compute import Priority
from tests.builders.clip import (
    CLIP_DIMENSION,
    CONTEXT_LENGTH,
    clip_image_vector,
    clip_text_vector,
    write_clip,
    write_visual_of_bytes,
)
from tests.builders.graph import FLOAT, INT32, INT64, Dimension, Graph
from tests.integration.clip.conftest import Serve
from tests.waiting import PATIENCE_SECONDS

RED, GREEN, BLUE = (230, 20, 20), (20, 230, 20), (20, 20, 230)


def photo(rgb: tuple[int, int, int], size: tuple[int, int] = (320, 200), fmt: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", size, rgb).save(out, fmt, **options)
    return out.getvalue()


def cosine(a: object, b: object) -> float:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


@pytest.mark.parametrize("batch", ["batch", 1])
@pytest.mark.parametrize("token_kind", [INT32, INT64])
@pytest.mark.parametrize("normalised", [True, False])
async def test_known_answers(
    serve: Serve, tmp_path: Path, batch: Dimension, token_kind: int, *, normalised: bool
) -> None:
    write_clip(tmp_path, batch=batch, token_kind=token_kind, normalised=normalised)
    async with serve() as clip:
        image = await clip.image(photo(RED))
        text = await clip.text("一只狗")
    assert (image.image_width, image.image_height, image.model_name) == (320, 200, "ViT-B-16__cn-clip")
    assert len(image.embedding) == len(text.embedding) == CLIP_DIMENSION
    assert cosine(image.embedding, clip_image_vector(RED)) > 0.99999
    assert cosine(text.embedding, clip_text_vector([101, 671, 1372, 4318, 102])) > 0.99999
    for reply in (image, text):
        assert np.linalg.norm(reply.embedding) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("side", [32, None])
async def test_a_graph_that_takes_bytes_normalises_and_fits_by_itself(
    serve: Serve, tmp_path: Path, side: int | None
) -> None:
    write_visual_of_bytes(write_clip(tmp_path), side=side)
    async with serve() as clip:
        for size in ((320, 200), (70, 300)):
            assert cosine((await clip.image(photo(GREEN, size))).embedding, clip_image_vector(GREEN)) > 0.99999


async def test_m_clip_takes_an_attention_mask(serve: Serve, tmp_path: Path) -> None:
    folder = write_clip(tmp_path, "XLM-Roberta-Large-Vit-B-32")
    graph = Graph()
    tokens = graph.input("input_ids", ["batch", CONTEXT_LENGTH], INT32)
    mask = graph.input("attention_mask", ["batch", CONTEXT_LENGTH], INT32)
    weights = np.eye(8, dtype=np.float32)[[0, *range(1, 8)]].repeat([1] + [3_000] * 7, axis=0)
    features = graph.op("Gather", graph.weight(weights), tokens, axis=0)  # padding, token 0, points its own way
    counted = graph.op("Mul", features, graph.op("Unsqueeze", graph.op("Cast", mask, to=FLOAT), graph.weight([2])))
    graph.output(graph.op("ReduceSum", counted, graph.weight([1]), keepdims=0), "embedding", ["batch", 8])
    graph.save(folder / "textual" / "model.onnx")
    async with serve(model_name="XLM-Roberta-Large-Vit-B-32") as clip:
        embedding = (await clip.text("一只狗")).embedding
    assert embedding[0] == 0  # none of the 47 tokens of padding counted
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)


async def test_a_search_by_colour_finds_its_photo(serve: Serve, tmp_path: Path) -> None:
    write_clip(tmp_path)
    async with serve() as clip:
        photos = [(await clip.image(photo(rgb))).embedding for rgb in (RED, GREEN, BLUE)]
        for expected, query in enumerate(["红", "绿", "蓝"]):
            found = (await clip.text(query, "zh-CN")).embedding
            assert int(np.argmax([cosine(found, vector) for vector in photos])) == expected


async def test_another_dimension(serve: Serve, tmp_path: Path) -> None:
    write_clip(tmp_path, "ViT-L-14__openai", dimension=768)
    async with serve(model_name="ViT-L-14__openai") as clip:
        assert len((await clip.image(photo(RED))).embedding) == 768
        models: model_pb2_grpc.ModelServiceAsyncStub = model_pb2_grpc.ModelServiceStub(clip.channel)
        listed = (await models.ListModels(model_pb2.ListModelsRequest())).models
        assert [(m.part, m.dimension, m.pinned) for m in listed if m.state == model_pb2.MODEL_STATE_LOADED] == [
            ("textual", 768, True),
            ("visual", 768, False),
        ]


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
async def test_formats(serve: Serve, tmp_path: Path, fmt: str) -> None:
    write_clip(tmp_path)
    async with serve() as clip:
        reply = await clip.image(photo(BLUE, fmt=fmt, size=(1440, 1920), quality=95))
    assert (reply.image_width, reply.image_height) == (1440, 1920)
    assert cosine(reply.embedding, clip_image_vector(BLUE)) > 0.999


async def test_size_is_that_of_the_upright_photo(serve: Serve, tmp_path: Path) -> None:
    write_clip(tmp_path)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    async with serve() as clip:
        reply = await clip.image(photo(RED, size=(1920, 1440), fmt="JPEG", exif=exif))
    assert (reply.image_width, reply.image_height) == (1440, 1920)


@pytest.mark.parametrize("size", [(1, 1), (6000, 1200), (1200, 6000), (2, 900)])
async def test_any_shape(serve: Serve, tmp_path: Path, size: tuple[int, int]) -> None:
    write_clip(tmp_path)
    async with serve() as clip:
        reply = await clip.image(photo(GREEN, size=size, fmt="JPEG"))
    assert (reply.image_width, reply.image_height) == size
    assert cosine(reply.embedding, clip_image_vector(GREEN)) > 0.999


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"<svg></svg>", "SVG"),
        (b"GIF89a", "no known type"),
        (photo(RED, fmt="JPEG")[:-20], "cut off"),
        (photo(RED, size=(4000, 3000)), "limit of 1000000 pixels"),
    ],
)
async def test_bad_photos_are_the_callers_fault_and_harm_nobody(
    serve: Serve, tmp_path: Path, data: bytes, message: str
) -> None:
    write_clip(tmp_path)
    async with serve(max_image_pixels=1_000_000) as clip:
        good, bad = await asyncio.gather(clip.image(photo(RED)), clip.image(data), return_exceptions=True)
        assert isinstance(bad, grpc.aio.AioRpcError)
        assert (bad.code(), message in str(bad.details())) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        assert not isinstance(good, BaseException)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("ViT-B-32__openai", grpc.StatusCode.NOT_FOUND),
        ("nobody-knows-it", grpc.StatusCode.NOT_FOUND),
        ("../../etc/passwd", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_models_that_cannot_be_had(serve: Serve, tmp_path: Path, model: str, code: grpc.StatusCode) -> None:
    write_clip(tmp_path)
    async with serve() as clip:
        for call in (clip.image(photo(RED), model), clip.text("dog", model=model)):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call
            assert raised.value.code() is code
        assert (await clip.text("dog")).embedding


async def test_empty_text(serve: Serve, tmp_path: Path) -> None:
    write_clip(tmp_path)
    async with serve() as clip:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await clip.text("  ")
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_damaged_model_is_told_and_the_rest_goes_on(serve: Serve, tmp_path: Path) -> None:
    write_clip(tmp_path)
    broken = write_clip(tmp_path, "ViT-B-32__openai")
    (broken / "visual" / "preprocess_cfg.json").write_text('{"size": 32}')
    async with serve() as clip:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await clip.image(photo(RED), "ViT-B-32__openai")
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "preprocess_cfg.json" in str(raised.value.details())
        assert (await clip.image(photo(RED))).embedding


async def test_results_belong_to_their_photos_in_shared_batches(serve: Serve, tmp_path: Path) -> None:
    write_clip(tmp_path)
    colours = [(int(r), int(g), int(b)) for r, g, b in np.random.default_rng(3).integers(0, 255, (24, 3))]
    async with serve(batching={"max_batch_size": 8}) as clip:
        replies = await asyncio.gather(*(clip.image(photo(colour)) for colour in colours))
    for colour, reply in zip(colours, replies, strict=True):
        assert cosine(reply.embedding, clip_image_vector(colour)) > 0.9999


async def test_a_query_never_waits_behind_photos(serve: Serve, tmp_path: Path) -> None:
    write_clip(tmp_path)
    go_on = threading.Event()
    async with serve(threads=2) as clip:
        # Every thread that works on photos is taken, and photos are waiting for one.
        taken = [asyncio.create_task(clip.compute.run(go_on.wait, Priority.BULK)) for _ in range(2)]
        photos = [asyncio.create_task(clip.image(photo(RED))) for _ in range(20)]
        try:
            reply = await asyncio.wait_for(clip.text("红"), PATIENCE_SECONDS)
            assert not any(task.done() for task in photos)
        finally:
            go_on.set()
        assert len(reply.embedding) == CLIP_DIMENSION
        await asyncio.gather(*photos, *taken)


async def test_a_full_queue_refuses_at_once(serve: Serve, tmp_path: Path) -> None:
    write_clip(tmp_path)
    go_on = threading.Event()
    async with serve(threads=1, batching={"max_queue_size": 2}) as clip:
        taken = asyncio.create_task(clip.compute.run(go_on.wait, Priority.BULK))
        calls = [asyncio.create_task(clip.image(photo(RED))) for _ in range(12)]
        try:
            done, _ = await asyncio.wait(calls, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            go_on.set()
        error = done.pop().exception()
        assert isinstance(error, grpc.aio.AioRpcError)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "grpc-retry-pushback-ms" in dict(error.trailing_metadata() or ())
        results = await asyncio.gather(*calls, taken, return_exceptions=True)
        assert any(not isinstance(result, BaseException) for result in results[:-1])
