"""From a cluster's settings to its connections: which transport, which service's health, which credentials."""

from collections.abc import Callable

from router.config import ClusterSettings, Protocol
from router.domain.tasks import CLIP, FACE, OCR
from router.upstream.clients import CLIP_SERVICE, FACE_SERVICE, OCR_SERVICE
from router.upstream.endpoints.discovery import Address
from router.upstream.endpoints.endpoint import Transport
from router.upstream.grpc_transport import GrpcTransport
from router.upstream.http_cluster import HttpTransport

SERVICE_OF_TASK = {OCR: OCR_SERVICE, CLIP: CLIP_SERVICE, FACE: FACE_SERVICE}


def transport_opener(settings: ClusterSettings, service: str) -> Callable[[Address], Transport]:
    """How to connect to the endpoints of a cluster.

    Args:
        settings: completed settings of the cluster.
        service: full name of the gRPC service whose health decides; empty for the server as a whole.
    """

    def open_one(address: Address) -> Transport:
        if settings.protocol is Protocol.HTTP:
            return HttpTransport(address.target)
        token = settings.auth_token.get_secret_value() if settings.auth_token else None
        return GrpcTransport(address, service, settings.tls, token)

    return open_one
