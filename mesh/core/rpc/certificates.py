"""The PEM files of one side of a TLS connection, read again when they change."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from mesh.core.rpc.watched_files import WatchedFiles
from mesh.core.settings import TlsSettings


@dataclass(frozen=True)
class Certificates:
    """What the files hold, PEM.

    Attributes:
        key, chain: our certificate; None for a client without one.
        authority: whom the other side's certificate must come from; None for the system's.
    """

    key: bytes | None = field(repr=False)
    chain: bytes | None
    authority: bytes | None


def watch_certificates(tls: TlsSettings) -> WatchedFiles[Certificates]:
    """Raises OSError: a file cannot be read, or key and certificate are no pair."""
    paths = [path for path in (tls.key_file, tls.cert_file, tls.ca_file) if path is not None]
    return WatchedFiles(paths, lambda: read_certificates(tls))


def read_certificates(tls: TlsSettings) -> Certificates:
    """Raises OSError: a file cannot be read, or holds no PEM, or key and certificate are no pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if tls.cert_file and tls.key_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)  # the only check that OpenSSL makes before a handshake
    authority = _content(tls.ca_file)
    if authority is not None:
        context.load_verify_locations(cadata=authority.decode("ascii", "replace"))
    return Certificates(_content(tls.key_file), _content(tls.cert_file), authority)


def _content(path: Path | None) -> bytes | None:
    return path.read_bytes() if path else None
