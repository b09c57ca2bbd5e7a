"""What each service's graphs are fed for photos is kept for their int8 versions, whatever comes between."""

import io
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

import face_service.__main__
import ocr_service.__main__
from face_service.config import FaceSettings
from mesh.serving.quantisation import inputs_of_photos
from ocr_service.config import OcrSettings
from tests.builders.faces import marker_photo, write_faces


def encoded(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


async def test_both_graphs_of_a_face_pack_have_inputs(tmp_path: Path) -> None:
    folder = write_faces(tmp_path)
    settings = FaceSettings(cache_folder=tmp_path, offline=True, model_name="buffalo_l")
    photos = [encoded(marker_photo(400, 300, {"magenta": (40, 60, 240, 260)})), b"no photo"]
    inputs = await inputs_of_photos(settings, face_service.__main__.build, photos)
    shapes = {
        graph.parent.name: [feeds.shape for one in kept for feeds in one.values()] for graph, kept in inputs.items()
    }
    assert shapes == {"detection": [(1, 3, 640, 640)], "recognition": [(1, 3, 112, 112)]}
    assert all(graph.is_relative_to(folder) for graph in inputs)


async def test_the_bundled_ocr_graphs_have_inputs_whatever_the_cache_holds(tmp_path: Path) -> None:
    page = np.full((300, 400, 3), 235, np.uint8)
    cv2.putText(page, "Total 1,234.56", (30, 150), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (20, 20, 20), 2, cv2.LINE_AA)
    settings = OcrSettings(cache_folder=tmp_path, offline=True)
    inputs = await inputs_of_photos(settings, ocr_service.__main__.build, [encoded(page)])
    assert sorted(graph.stem for graph in inputs) == ["PP-OCRv6_det_small", "PP-OCRv6_rec_small"]
