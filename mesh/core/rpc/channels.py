"""Options and credentials that both ends of a gRPC call agree on."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc.aio import ClientCallDetails, UnaryUnaryCall, UnaryUnaryClientInterceptor

from mesh.core.rpc.certificates import Certificates, watch_certificates
from mesh.core.rpc.renewing_channel import RenewingChannel
from mesh.core.rpc.tokens import BearerToken
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


class _ShowToken(UnaryUnaryClientInterceptor):
    """Puts the shared token on every call, on plain text connections too (gRPC's own call credentials refuse those)."""

    def __init__(self, token: BearerToken) -> None:
        self._token = token

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: ClientCallDetails, request: Any
    ) -> UnaryUnaryCall[Any, Any] | Any:
        details = ClientCallDetails(
            method=client_call_details.method,
            timeout=client_call_details.timeout,
            metadata=grpc.aio.Metadata(*(client_call_details.metadata or ()), self._token.header()),
            credentials=client_call_details.credentials,
            wait_for_ready=client_call_details.wait_for_ready,
        )
        return await continuation(details, request)


def server_credentials(tls: TlsSettings) -> grpc.ServerCredentials | None:
    """TLS of a server, demanding client certificates when `ca_file` is set; None for plain text. Raises OSError.

    The files are looked at for each new connection: one that begins after they have changed gets what they hold now.
    """
    if tls.cert_file is None or tls.key_file is None:
        return None
    files = watch_certificates(tls)

    def configuration() -> grpc.ServerCertificateConfiguration:
        now = files.current(look=True)
        assert now.key is not None
        assert now.chain is not None
        return grpc.ssl_server_certificate_configuration([(now.key, now.chain)], now.authority)

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, require_client_authentication=tls.ca_file is not None
    )


def open_channel(
    address: str, tls: TlsSettings | None = None, token: BearerToken | str | None = None, server_name: str | None = None
) -> grpc.aio.Channel:
    """A channel to one server; it connects on first use. Needs a running event loop.

    Args:
        address: `host:port`.
        tls: None for plain text. `ca_file` is the authority to trust (else the system's), the pair is our certificate.
            When the files change, calls that begin afterwards go over a new connection.
        token: bearer token put on every call.
        server_name: the name that the server's certificate must carry, when `address` was found by resolving it.

    Raises:
        OSError: a TLS file cannot be read.
    """
    shown = BearerToken((token,)) if isinstance(token, str) else token
    interceptors = [_ShowToken(shown)] if shown else None
    if tls is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS, interceptors=interceptors)
    named = (("grpc.ssl_target_name_override", server_name),) if server_name else ()

    def open_one(now: Certificates) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(now.authority, now.key, now.chain)
        options = (*CHANNEL_OPTIONS, *named)
        return grpc.aio.secure_channel(address, credentials, options=options, interceptors=interceptors)

    return RenewingChannel(watch_certificates(tls), open_one)
