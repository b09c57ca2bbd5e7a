"""The load generator counts right, and sends what Immich sends."""

import asyncio
import json
from email import message_from_bytes
from email.message import Message
from itertools import cycle, islice

import pytest

from bench.load import BOUNDARY, Measurement, closed_loop, is_right, multipart
from bench.photos import queries, stream


async def test_so_many_clients_are_in_flight_and_every_answer_counts() -> None:
    in_flight: list[int] = []
    running = 0
    answers = cycle([True, False])

    async def send() -> bool:
        nonlocal running
        running += 1
        in_flight.append(running)
        await asyncio.sleep(0)
        running -= 1
        return next(answers)

    seen = await closed_loop(send, clients=4, seconds=0.05)
    assert max(in_flight) == 4
    assert len(seen.latencies) + seen.errors == len(in_flight)
    assert abs(len(seen.latencies) - seen.errors) <= 1
    assert seen.per_second == pytest.approx(len(seen.latencies) / seen.seconds)


def test_percentiles_in_milliseconds() -> None:
    seen = Measurement(seconds=2.0, latencies=[0.001 * n for n in range(1, 101)])
    assert seen.percentile_ms(50) == pytest.approx(50.5)
    assert seen.summary()["p99_ms"] == pytest.approx(99.01)
    assert seen.summary()["per_second"] == 50


def parts(body: bytes) -> list[Message]:
    head = f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
    return list(message_from_bytes(head + body).get_payload())


def test_bodies_are_multipart_as_immich_sends_them() -> None:
    entries, image = parts(multipart("face", b"\xff\xd8bytes"))
    assert entries.get_param("name", header="content-disposition") == "entries"
    assert "facial-recognition" in json.loads(str(entries.get_payload()))
    assert image.get_param("filename", header="content-disposition") == "blob"
    assert image.get_payload(decode=True) == b"\xff\xd8bytes"
    assert [part.get_param("name", header="content-disposition") for part in parts(multipart("text", "海边"))] == [
        "entries",
        "text",
    ]


@pytest.mark.parametrize(
    ("family", "answer", "right"),
    [
        ("clip", None, False),
        ("clip", {"clip": "[" + "0.1," * 100 + "1]"}, True),
        ("clip", {"clip": [0.1] * 512}, False),
        ("face", {"facial-recognition": []}, False),
        ("face", {"facial-recognition": [{}]}, True),
        ("ocr", {"ocr": {"text": []}}, False),
        ("ocr", {"ocr": {"text": ["a"]}}, True),
    ],
)
def test_an_empty_answer_is_an_error(family: str, answer: dict[str, object] | None, *, right: bool) -> None:
    assert is_right(family, answer) is right


def test_no_two_requests_are_alike() -> None:
    pictures = list(islice(stream(2), 6))
    assert len(set(pictures)) == 6
    assert all(100_000 < len(picture) < 250_000 for picture in pictures)
    assert len(set(islice(queries(), 100))) == 100
