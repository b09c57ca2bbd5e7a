"""Listening sockets: which families they answer, and what is said when they cannot be opened."""

import socket

import pytest

from mesh.core.sockets import bare_host, listening_socket, reason
from tests.waiting import PATIENCE_SECONDS


def answers(family: socket.AddressFamily, host: str, port: int) -> bool:
    with socket.socket(family) as caller:
        caller.settimeout(PATIENCE_SECONDS)
        return caller.connect_ex((host, port)) == 0


@pytest.mark.parametrize("host", ["::", "[::]", ""])
def test_every_address_means_both_families(host: str) -> None:
    with listening_socket(host, 0) as one:
        port = one.getsockname()[1]
        assert answers(socket.AF_INET, "127.0.0.1", port)
        assert answers(socket.AF_INET6, "::1", port)


@pytest.mark.parametrize(
    ("host", "family", "address"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
        ("[::1]", socket.AF_INET6, "::1"),
        ("0.0.0.0", socket.AF_INET, "127.0.0.1"),
    ],
)
def test_an_address_means_itself(host: str, family: socket.AddressFamily, address: str) -> None:
    with listening_socket(host, 0) as one:
        assert one.family == family
        assert answers(family, address, one.getsockname()[1])


def test_what_is_wrong_is_said_in_a_few_words() -> None:
    with listening_socket("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use") as caught:
        listening_socket("127.0.0.1", taken.getsockname()[1])
    assert reason(caught.value) == "Address already in use"
    with pytest.raises(socket.gaierror) as caught:
        listening_socket("no.such.host.invalid", 0)
    assert "(" not in reason(caught.value)


def test_brackets_belong_to_urls() -> None:
    assert [bare_host(host) for host in ("[::1]", "::1", "a")] == ["::1", "::1", "a"]
