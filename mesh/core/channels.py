"""Options and credentials that both ends of a gRPC call agree on."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc.aio import ClientCallDetails, UnaryUnaryCall, UnaryUnaryClientInterceptor

from mesh.core.settings import MAX_MESSAGE_BYTES, TlsSettings

Options = Sequence[tuple[str, int | str]]

# Room for a 64 MiB photo plus the other fields of its message.
_MESSAGE_LIMIT = MAX_MESSAGE_BYTES + 64 * 1024

SERVER_OPTIONS: Options = (
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ("grpc.so_reuseport", 0),  # a second server on a busy port must fail, not take half of the calls
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

CHANNEL_OPTIONS: Options = (
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.enable_retries", 0),  # the router retries, where it can be seen and bounded
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),  # endpoints of one address in two clusters share no connection state
    ("grpc.enable_http_proxy", 0),  # services are on the pod network; a proxy for downloads is not for them
)


class _BearerToken(UnaryUnaryClientInterceptor):
    """Puts the shared token on every call, on plain text connections too (gRPC's own call credentials refuse those)."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: ClientCallDetails, request: Any
    ) -> UnaryUnaryCall[Any, Any] | Any:
        details = ClientCallDetails(
            method=client_call_details.method,
            timeout=client_call_details.timeout,
            metadata=grpc.aio.Metadata(*(client_call_details.metadata or ()), self._header),
            credentials=client_call_details.credentials,
            wait_for_ready=client_call_details.wait_for_ready,
        )
        return await continuation(details, request)


def server_credentials(tls: TlsSettings) -> grpc.ServerCredentials | None:
    """TLS of a server, demanding client certificates when `ca_file` is set; None for plain text. Raises OSError."""
    if tls.cert_file is None or tls.key_file is None:
        return None
    pair = (tls.key_file.read_bytes(), tls.cert_file.read_bytes())
    authority = tls.ca_file.read_bytes() if tls.ca_file else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


def open_channel(
    address: str, tls: TlsSettings | None = None, token: str | None = None, server_name: str | None = None
) -> grpc.aio.Channel:
    """A channel to one server; it connects on first use. Needs a running event loop.

    Args:
        address: `host:port`.
        tls: None for plain text. `ca_file` is the authority to trust (else the system's), the pair is our certificate.
        token: bearer token put on every call.
        server_name: the name that the server's certificate must carry, when `address` was found by resolving it.

    Raises:
        OSError: a TLS file cannot be read.
    """
    interceptors = [_BearerToken(token)] if token else None
    if tls is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS, interceptors=interceptors)
    credentials = grpc.ssl_channel_credentials(
        tls.ca_file.read_bytes() if tls.ca_file else None,
        tls.key_file.read_bytes() if tls.key_file else None,
        tls.cert_file.read_bytes() if tls.cert_file else None,
    )
    named = (("grpc.ssl_target_name_override", server_name),) if server_name else ()
    return grpc.aio.secure_channel(address, credentials, options=(*CHANNEL_OPTIONS, *named), interceptors=interceptors)
