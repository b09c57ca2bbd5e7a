"""From a cluster's settings to its connections: which transport, which service's health, which credentials."""

from collections.abc import Callable

from mesh.core.rpc.tokens import BearerToken
from router.config import ClusterSettings, Protocol
from router.domain.tasks import CLIP, FACE, OCR
from router.upstream.clients import CLIP_SERVICE, FACE_SERVICE, OCR_SERVICE
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint import Transport
from router.upstream.grpc_transport import GrpcTransport
from router.upstream.http_cluster import HttpTransport

SERVICE_OF_TASK = {OCR: OCR_SERVICE, CLIP: CLIP_SERVICE, FACE: FACE_SERVICE}


def transport_opener(settings: ClusterSettings, service: str) -> Callable[[Address], Transport]:
    """How to connect to the endpoints of a cluster.

    Args:
        settings: completed settings of the cluster.
        service: full name of the gRPC service whose health decides; empty for the server as a whole.

    Raises:
        OSError: the token's file is of no use.
    """
    token = BearerToken.of(settings.auth_token, settings.auth_token_file)

    def open_one(address: Address) -> Transport:
        if settings.protocol is Protocol.HTTP:
            return HttpTransport(address.target)
        return GrpcTransport(address, service, settings.tls, token)

    return open_one
