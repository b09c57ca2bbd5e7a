"""A language's own recogniser answers for it, behind the default model's detector, or says plainly that it cannot."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from immich_mesh.ocr.v1 import ocr_pb2_grpc

from mesh.core.rpc.channels import open_channel
from mesh.serving.server import ServiceContext, running
from ocr_service.__main__ import build
from ocr_service.config import OcrSettings
from tests.integration.ocr.conftest import DEFAULT_MODEL, OcrCaller
from tests.integration.ocr.test_ocr_service import printed, texts

KOREAN = "KOREAN__PP-OCRv5_mobile"


@asynccontextmanager
async def service(cache: Path, **fields: Any) -> AsyncIterator[OcrCaller]:
    settings = OcrSettings(port=0, cache_folder=cache, offline=True, threads=2, **fields)
    context = ServiceContext.of(settings)
    async with running(build(settings, context), settings) as server, open_channel(server.address) as channel:
        await server.ready.wait()
        yield OcrCaller(ocr_pb2_grpc.OcrServiceStub(channel), channel)
    context.compute.close()


async def test_a_languages_recogniser_reads_what_the_shared_detector_finds(
    tmp_path: Path, graphs: tuple[Path, Path]
) -> None:
    folder = tmp_path / "ocr" / KOREAN / "recognition"  # as an Immich volume has it: this half alone
    folder.mkdir(parents=True)
    shutil.copyfile(graphs[1], folder / "model.onnx")  # not Korean, but a recogniser of its own all the same
    async with service(tmp_path) as ocr:
        reply = await ocr.read(printed("Invoice 2024", 400, 900), model_name=KOREAN)
    assert texts(reply) == ["Invoice 2024"]
    assert reply.model_name == KOREAN


async def test_one_that_cannot_be_had_is_an_error_that_says_what_helps(tmp_path: Path) -> None:
    async with service(tmp_path) as ocr:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ocr.read(printed("Invoice 2024", 400, 900), model_name=KOREAN)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert f"immich-mesh models pull {KOREAN}" in (caught.value.details() or "")


async def test_the_default_model_stands_in_where_a_setting_says_so_and_the_reply_names_it(tmp_path: Path) -> None:
    async with service(tmp_path, language_fallback=True) as ocr:
        reply = await ocr.read(printed("Invoice 2024", 400, 900), model_name=KOREAN)
        assert (texts(reply), reply.model_name) == (["Invoice 2024"], DEFAULT_MODEL)
        with pytest.raises(grpc.aio.AioRpcError):
            await ocr.read(printed("Invoice 2024", 400, 900), model_name="PP-OCRv9")
