"""Who may call."""

from ipaddress import ip_network

import pytest
from pydantic import SecretStr

from router.config import ImmichMlListener
from router.errors import ForbiddenError
from router.listeners.server.guard import Guard


@pytest.mark.parametrize(
    ("remote", "allowed"),
    [
        ("127.0.0.1", True),
        ("192.168.1.5", True),
        ("10.42.0.7", True),
        ("100.100.1.1", True),
        ("::1", True),
        ("::ffff:192.168.1.5", True),
        ("fe80::1%eth0", True),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("2001:4860::8888", False),
        ("", False),
        (None, False),
        ("not an address", False),
    ],
)
def test_private_networks_may_call_by_default(remote: str | None, allowed: bool) -> None:
    guard = Guard(ImmichMlListener().allow)
    if allowed:
        guard.check(remote, "any")
    else:
        with pytest.raises(ForbiddenError, match="may not call"):
            guard.check(remote, "any")


def test_the_list_can_be_narrowed() -> None:
    guard = Guard([ip_network("192.168.7.0/24")])
    guard.check("192.168.7.1", "any")
    with pytest.raises(ForbiddenError):
        guard.check("192.168.8.1", "any")


@pytest.mark.parametrize("host", ["ml-7f3a.lan", "ML-7F3A.lan:3003", "other.lan"])
def test_a_secret_name_opens(host: str) -> None:
    Guard(ImmichMlListener().allow, [SecretStr("other.lan"), SecretStr("ml-7f3a.lan")]).check("127.0.0.1", host)


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1:3003", "ml-7f3a.lan.evil", "[::1]:3003"])
def test_any_other_name_does_not(host: str) -> None:
    with pytest.raises(ForbiddenError, match="secret host name"):
        Guard(ImmichMlListener().allow, [SecretStr("ml-7f3a.lan")]).check("127.0.0.1", host)
