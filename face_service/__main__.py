"""The face service as a process: `python -m face_service`."""

import sys
from functools import partial

from immich_mesh.face.v1 import face_pb2_grpc

from face_service.config import FaceSettings
from face_service.models import FaceModels
from face_service.pipeline import FacePipeline
from face_service.servicer import FaceServicer
from mesh.serving.gate import Gate
from mesh.serving.intake import PhotoIntake
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.server import Service, ServiceContext, run

NAME = "immich_mesh.face.v1.FaceService"


def build(settings: FaceSettings, context: ServiceContext) -> Service:
    """The service, its models not yet loaded."""
    gate = Gate.of(context.runtime, context.compute.traffic)
    # What passes the gate never finds the recogniser's queue full.
    window = max(1, context.runtime.batching.max_queue_size // gate.places)
    models = FaceModels(context, LifecyclePolicy.of(settings), window=window)
    pipeline = FacePipeline(
        models,
        PhotoIntake.of("face", gate, settings),
        min_score=settings.min_score,
        max_faces=settings.max_faces,
    )
    register = partial(face_pb2_grpc.add_FaceServiceServicer_to_server, FaceServicer(pipeline))
    return Service(NAME, register, models.manager, partial(pipeline.find, min_score=None, model_name=""))


if __name__ == "__main__":
    sys.exit(run(FaceSettings, build, "face"))
