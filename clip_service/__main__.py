"""The CLIP service as a process: `python -m clip_service`."""

import sys
from functools import partial

from immich_mesh.clip.v1 import clip_pb2_grpc

from clip_service.config import ClipSettings
from clip_service.models import PINNED_PARTS, ClipModels
from clip_service.pipeline import ClipPipeline
from clip_service.servicer import ClipServicer
from mesh.core.settings import ServiceSettings
from mesh.serving.decoding import PhotoIntake
from mesh.serving.lifecycle.manager import LifecyclePolicy
from mesh.serving.server import Service, ServiceContext, run

NAME = "immich_mesh.clip.v1.ClipService"


def build(settings: ServiceSettings, foundation: ServiceContext) -> Service:
    """The service, its models not yet loaded."""
    models = ClipModels(foundation, LifecyclePolicy.of(settings, PINNED_PARTS))
    servicer = ClipServicer(ClipPipeline(models, PhotoIntake.of("clip", models.gate, settings)))
    register = partial(clip_pb2_grpc.add_ClipServiceServicer_to_server, servicer)
    return Service(NAME, register, models.manager)


if __name__ == "__main__":
    sys.exit(run(ClipSettings, build, "clip"))
