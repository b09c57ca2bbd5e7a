"""The CLIP service as a process: `python -m clip_service`."""

import sys
from functools import partial

from immich_mesh.clip.v1 import clip_pb2_grpc

from clip_service.config import ClipSettings
from clip_service.models import ClipModels
from clip_service.pipeline import ClipPipeline
from clip_service.servicer import ClipServicer
from mesh.serving.gate import Gate
from mesh.serving.intake import PhotoIntake
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.server import Service, ServiceContext, run

NAME = "immich_mesh.clip.v1.ClipService"


def build(settings: ClipSettings, context: ServiceContext) -> Service:
    """The service, its models not yet loaded."""
    models = ClipModels(context, LifecyclePolicy.of(settings))
    photos = PhotoIntake.of("clip", Gate.of(context.runtime, context.compute.traffic), settings)
    pipeline = ClipPipeline(models, photos)
    register = partial(clip_pb2_grpc.add_ClipServiceServicer_to_server, ClipServicer(pipeline))
    return Service(NAME, register, models.manager, lambda photo: pipeline.encode_image(photo, ""))


if __name__ == "__main__":
    sys.exit(run(ClipSettings, build, "clip"))
