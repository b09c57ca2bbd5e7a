"""What keeps a model from coming, in one line each: told apart by whether another source may help, or another time."""

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx

from mesh.core.errors import UnavailableError

MIRROR_HINT = "check the network, or name a mirror of the hub, for example HF_ENDPOINT=https://hf-mirror.com"


class SourceError(Exception):
    """One source cannot give what is wanted; another may. Never leaves this package.

    Attributes:
        reason: one line for a person.
        is_gone: it answered that it has no such thing, so that asking again is of no use.
        silent_host: the host that gave no answer at all: what else comes from there need not be tried now.
    """

    def __init__(self, reason: str, *, is_gone: bool = False, silent_host: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_gone = is_gone
        self.silent_host = silent_host


def network_reason(error: httpx.HTTPError) -> str:
    """Why a request failed, in words."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "its name cannot be resolved (is there DNS?)"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message}); SSL_CERT_FILE names your own authority"
    match error:
        case httpx.ConnectTimeout():
            return "no connection came about in time (is it blocked?)"
        case httpx.TimeoutException():
            return "it was silent for too long"
        case httpx.ProxyError():
            return f"the proxy of the environment refuses: {error}"
    return str(error) or type(error).__name__


def never_connected(error: httpx.HTTPError) -> bool:
    """Whether there was no connection to speak over."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def disk_error(path: Path, error: OSError) -> UnavailableError:
    """A failure to write into the cache, in words."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UnavailableError(
            f"cannot download into {path.parent}: it is not writable for user {os.getuid()}; change its owner or the "
            "cache folder"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UnavailableError(f"the disk of {path.parent} is full: free space or choose another cache folder")
    return UnavailableError(f"cannot write {path}: {error.strerror or error}")
