"""The OCR service as a process: `python -m ocr_service`."""

import sys
from functools import partial

from immich_mesh.ocr.v1 import ocr_pb2_grpc

from mesh.core.settings import ServiceSettings
from mesh.serving.decoding import PhotoIntake
from mesh.serving.lifecycle.manager import LifecyclePolicy
from mesh.serving.server import Service, ServiceContext, run
from ocr_service.config import OcrSettings
from ocr_service.models import OcrModels
from ocr_service.pipeline import OcrPipeline
from ocr_service.servicer import OcrServicer

NAME = "immich_mesh.ocr.v1.OcrService"


def build(settings: ServiceSettings, foundation: ServiceContext) -> Service:
    """The service, its models not yet loaded."""
    assert isinstance(settings, OcrSettings)
    models = OcrModels(foundation, LifecyclePolicy.of(settings), language_fallback=settings.language_fallback)
    photos = PhotoIntake.of("ocr", models.gate, settings)
    servicer = OcrServicer(OcrPipeline(models, photos), settings)
    return Service(NAME, partial(ocr_pb2_grpc.add_OcrServiceServicer_to_server, servicer), models.manager)


if __name__ == "__main__":
    sys.exit(run(OcrSettings, build, "ocr"))
