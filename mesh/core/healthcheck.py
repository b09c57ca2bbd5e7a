"""What a container's health check runs: asks the process beside it how it is, and exits 0 or 1.

    python -m mesh.core.healthcheck http://127.0.0.1:9901/ready
    python -m mesh.core.healthcheck 50051 immich_mesh.ocr.v1.OcrService

The second form asks a gRPC server on this machine. Where that server's TLS is configured in the environment that the
two share (`OCR_TLS__CERT_FILE`, ...), the question uses the same files, so the certificate must be valid for
`localhost`.
"""

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

TIMEOUT_SECONDS = 5.0
PREFIXES = ("OCR", "CLIP", "FACE")
"""Of each family's settings. Named here, for the check runs every few seconds and imports next to nothing."""


def http_ready(url: str) -> bool:
    """Whether a GET is answered with 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - the image's own command
            return bool(200 <= response.status < 300)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def grpc_serving(port: int, service: str) -> bool:
    """Whether the gRPC server at that port says that the service is SERVING.

    Raises:
        OSError: a TLS file cannot be read.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    address = f"localhost:{port}"
    credentials = _credentials(service)
    channel = grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address)
    with channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]
                health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_SECONDS
            )
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _credentials(service: str) -> "grpc.ChannelCredentials | None":
    """Those of OCR_TLS__* for `immich_mesh.ocr.v1.OcrService`; ModelService is on every server, any will do."""
    family = service.split(".")[1].upper() if service.count(".") > 1 else ""
    for prefix in (family,) if family in PREFIXES else PREFIXES:
        if certificate := os.environ.get(f"{prefix}_TLS__CERT_FILE"):
            import grpc

            authority = os.environ.get(f"{prefix}_TLS__CA_FILE")
            key = os.environ[f"{prefix}_TLS__KEY_FILE"]
            return grpc.ssl_channel_credentials(
                Path(authority or certificate).read_bytes(), Path(key).read_bytes(), Path(certificate).read_bytes()
            )
    return None


def main(arguments: list[str]) -> int:
    """0: healthy. 1: not. 2: wrong arguments."""
    if len(arguments) == 1 and arguments[0].startswith("http"):
        return 0 if http_ready(arguments[0]) else 1
    if len(arguments) == 2 and arguments[0].isdigit():
        return 0 if grpc_serving(int(arguments[0]), arguments[1]) else 1
    print(__doc__, file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
