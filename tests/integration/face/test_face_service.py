"""Coloured squares are found and told apart as faces are: boxes, scores, landmarks, embeddings, order, limits."""

import asyncio
import io
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc
import numpy as np
import PIL.Image
import pytest
from immich_mesh.face.v1 import face_pb2

from mesh.serving.inference.compute import Priority
from tests.builders.faces import (
    MARKERS,
    TEMPLATE,
    Box,
    face_vector,
    marker_photo,
    write_faces,
    write_faces_of_bytes,
    write_insightface,
    write_normalising_recogniser,
)
from tests.integration.face.conftest import Serve
from tests.waiting import PATIENCE_SECONDS

THREE: Mapping[str, Box] = {
    "yellow": (40, 60, 240, 260),
    "magenta": (300, 80, 460, 240),
    "cyan": (520, 300, 720, 500),
}


def encoded(pixels: np.ndarray, fmt: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, fmt, **options)
    return out.getvalue()


def photo(width: int = 800, height: int = 600, boxes: Mapping[str, Box] = THREE) -> bytes:
    return encoded(marker_photo(width, height, boxes))


def box_of(face: face_pb2.Face) -> Box:
    box = face.bounding_box
    return box.x1, box.y1, box.x2, box.y2


def cosine(a: object, b: object) -> float:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


@pytest.mark.parametrize("write", [write_faces, write_insightface])
@pytest.mark.parametrize("batch", ["batch", 1])
async def test_known_faces(serve: Serve, tmp_path: Path, write: Callable[..., Path], batch: str | int) -> None:
    write(tmp_path, batch=batch)
    async with serve() as faces:
        reply = await faces.detect(photo(), min_score=0.5)
    assert (reply.image_width, reply.image_height, reply.model_name) == (800, 600, "buffalo_l")
    names = ["magenta", "cyan", "yellow"]  # the most certain first
    assert [round(face.score, 3) for face in reply.faces] == [MARKERS[name].score for name in names]
    for name, face in zip(names, reply.faces, strict=True):
        np.testing.assert_allclose(box_of(face), THREE[name], atol=2)
        assert np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-5)
        assert cosine(face.embedding, face_vector(MARKERS[name].rgb)) > 0.999
        x1, y1, x2, _ = THREE[name]
        expected = np.array(TEMPLATE) / 112 * (x2 - x1) + (x1, y1)
        np.testing.assert_allclose([(point.x, point.y) for point in face.landmarks], expected, atol=3)


async def test_graphs_that_take_bytes_find_the_same_faces(serve: Serve, tmp_path: Path) -> None:
    write_faces(tmp_path, "floats")
    write_faces_of_bytes(tmp_path, "bytes")
    async with serve() as faces:
        expected, found = [(await faces.detect(photo(), 0.5, name)).faces for name in ("floats", "bytes")]
    assert len(found) == len(expected) == 3
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(box_of(one), box_of(other), atol=2)
        assert cosine(one.embedding, other.embedding) > 0.99999


async def test_a_recogniser_that_normalises_by_itself_is_given_plain_values(serve: Serve, tmp_path: Path) -> None:
    write_normalising_recogniser(write_faces(tmp_path))
    async with serve() as faces:
        reply = await faces.detect(photo(), min_score=0.5)
    for name, face in zip(("magenta", "cyan", "yellow"), reply.faces, strict=True):
        assert cosine(face.embedding, face_vector(MARKERS[name].rgb)) > 0.999


@pytest.mark.parametrize(
    ("min_score", "found"), [(None, 2), (0.0, 3), (0.5, 3), (0.74, 2), (0.76, 1), (0.96, 0), (1.0, 0)]
)
async def test_min_score_per_request(serve: Serve, tmp_path: Path, min_score: float | None, found: int) -> None:
    write_faces(tmp_path)
    async with serve() as faces:
        reply = await faces.detect(photo(), min_score)
    assert len(reply.faces) == found


async def test_scores_do_not_leak_between_requests(serve: Serve, tmp_path: Path) -> None:
    write_faces(tmp_path)
    async with serve() as faces:
        limits = [0.5, 0.7, 0.9] * 8
        replies = await asyncio.gather(*(faces.detect(photo(), limit) for limit in limits))
    assert [len(reply.faces) for reply in replies] == [3, 2, 1] * 8


@pytest.mark.parametrize("min_score", [-0.1, 1.1, 7.0, float("nan"), float("inf")])
async def test_a_score_out_of_range(serve: Serve, tmp_path: Path, min_score: float) -> None:
    write_faces(tmp_path)
    async with serve() as faces:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await faces.detect(photo(), min_score)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "from 0 to 1" in str(raised.value.details())


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (6000, 1200), (640, 640), (1200, 6000)])
async def test_no_face_is_an_empty_list_in_any_shape(serve: Serve, tmp_path: Path, size: tuple[int, int]) -> None:
    write_faces(tmp_path)
    async with serve() as faces:
        reply = await faces.detect(photo(*size, boxes={}))
    assert (len(reply.faces), reply.image_width, reply.image_height) == (0, *size)


@pytest.mark.parametrize("size", [(400, 300), (3000, 2000), (900, 1600)])
async def test_boxes_are_in_pixels_of_the_photo(serve: Serve, tmp_path: Path, size: tuple[int, int]) -> None:
    write_faces(tmp_path)
    box = (size[0] // 4, size[1] // 4, size[0] // 4 + size[0] // 3, size[1] // 4 + size[0] // 3)
    async with serve() as faces:
        reply = await faces.detect(photo(*size, boxes={"magenta": box}))
    assert len(reply.faces) == 1
    np.testing.assert_allclose(box_of(reply.faces[0]), box, atol=max(2, max(size) / 640 + 1))


async def test_a_face_at_the_edge_stays_inside(serve: Serve, tmp_path: Path) -> None:
    write_faces(tmp_path)
    async with serve() as faces:
        reply = await faces.detect(photo(701, 503, boxes={"magenta": (500, 303, 701, 503)}))
    x1, y1, x2, y2 = box_of(reply.faces[0])
    assert 0 <= x1 < x2 <= 701
    assert 0 <= y1 < y2 <= 503


async def test_boxes_follow_the_upright_photo(serve: Serve, tmp_path: Path) -> None:
    write_faces(tmp_path)
    upright = marker_photo(600, 800, {"magenta": (50, 500, 250, 700)})
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    data = encoded(np.rot90(upright).copy(), "JPEG", quality=95, subsampling=0, exif=exif)
    async with serve() as faces:
        reply = await faces.detect(data)
    assert (reply.image_width, reply.image_height) == (600, 800)
    np.testing.assert_allclose(box_of(reply.faces[0]), (50, 500, 250, 700), atol=3)


async def test_only_the_most_certain_of_too_many(serve: Serve, tmp_path: Path) -> None:
    write_faces(tmp_path)
    async with serve(max_faces=2) as faces:
        reply = await faces.detect(photo(), 0.1)
    assert [round(face.score, 2) for face in reply.faces] == [0.95, 0.75]


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"hello", photo()[:-2000]])
async def test_bad_photos(serve: Serve, tmp_path: Path, data: bytes) -> None:
    write_faces(tmp_path)
    async with serve() as faces:
        good, bad = await asyncio.gather(faces.detect(photo()), faces.detect(data), return_exceptions=True)
    assert isinstance(bad, grpc.aio.AioRpcError)
    assert bad.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not isinstance(good, BaseException)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("antelopev2", grpc.StatusCode.NOT_FOUND),
        ("../buffalo_l", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_packs_that_cannot_be_had(serve: Serve, tmp_path: Path, model: str, code: grpc.StatusCode) -> None:
    write_faces(tmp_path)
    async with serve() as faces:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await faces.detect(photo(), model=model)
        assert raised.value.code() is code
        assert (await faces.detect(photo())).faces


async def test_two_packs_side_by_side(serve: Serve, tmp_path: Path) -> None:
    write_faces(tmp_path)
    write_insightface(tmp_path, "antelopev2")
    async with serve() as faces:
        replies = await asyncio.gather(*(faces.detect(photo(), model=name) for name in ("", "antelopev2") * 3))
    assert {reply.model_name for reply in replies} == {"buffalo_l", "antelopev2"}
    assert all(len(reply.faces) == 2 for reply in replies)


async def test_a_recogniser_in_the_detectors_place_is_told(serve: Serve, tmp_path: Path) -> None:
    folder = write_faces(tmp_path)
    (folder / "detection" / "model.onnx").write_bytes((folder / "recognition" / "model.onnx").read_bytes())
    async with serve() as faces:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await faces.detect(photo())
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "no SCRFD detector" in str(raised.value.details())


async def test_only_so_many_photos_are_decoded_at_once(serve: Serve, tmp_path: Path) -> None:
    write_faces(tmp_path)
    go_on = threading.Event()
    async with serve(threads=1, batching={"max_queue_size": 3}) as faces:
        taken = asyncio.create_task(faces.compute.run(go_on.wait, Priority.BULK))
        calls = [asyncio.create_task(faces.detect(photo())) for _ in range(12)]
        try:
            done, _ = await asyncio.wait(calls, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            go_on.set()
        error = done.pop().exception()
        assert isinstance(error, grpc.aio.AioRpcError)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        results = await asyncio.gather(*calls, return_exceptions=True)
        await taken
    answered = [result for result in results if not isinstance(result, BaseException)]
    assert len(answered) >= 4
    assert all(len(reply.faces) == 2 for reply in answered)
