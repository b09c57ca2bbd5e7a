"""FaceService of the contract: from gRPC messages to the pipeline and back."""

from typing import Any

import grpc
from immich_mesh.face.v1 import face_pb2, face_pb2_grpc

from face_service.pipeline import DetectedFace, FacePipeline


class FaceServicer(face_pb2_grpc.FaceServiceServicer):
    """Answers `Detect`; domain errors become codes in `mesh.serving.interceptors`."""

    def __init__(self, pipeline: FacePipeline) -> None:
        self._pipeline = pipeline

    async def Detect(
        self, request: face_pb2.DetectRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> face_pb2.DetectResponse:
        """Finds the faces of one photo."""
        min_score = request.min_score if request.HasField("min_score") else None
        found = await self._pipeline.find(request.image, min_score=min_score, model_name=request.model_name)
        return face_pb2.DetectResponse(
            faces=[to_message(face) for face in found.faces],
            image_width=found.width,
            image_height=found.height,
            model_name=found.model_name,
        )


def to_message(face: DetectedFace) -> face_pb2.Face:
    """One face in the contract's words."""
    x1, y1, x2, y2 = face.box
    return face_pb2.Face(
        bounding_box=face_pb2.BoundingBox(x1=x1, y1=y1, x2=x2, y2=y2),
        score=face.score,
        embedding=face.embedding.tolist(),
        landmarks=[face_pb2.Landmark(x=x, y=y) for x, y in face.landmarks.tolist()],
    )
