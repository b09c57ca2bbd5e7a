"""Closed-loop load: so many clients, each sending its next request when the last one is answered.

Bodies are put together by hand, as Immich sends them, so that the client costs next to nothing beside what is measured.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
import numpy as np

BOUNDARY = "----immichmeshbench7d1f"
Send = Callable[[], Awaitable[bool]]
"""Sends one request and says whether the answer was right."""

ENTRIES: Mapping[str, Any] = {
    "clip": {"clip": {"visual": {"modelName": "ViT-B-32__openai"}}},
    "face": {
        "facial-recognition": {
            "detection": {"modelName": "buffalo_l", "options": {"minScore": 0.7}},
            "recognition": {"modelName": "buffalo_l"},
        }
    },
    "ocr": {
        "ocr": {
            "detection": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.5, "maxResolution": 736}},
            "recognition": {"modelName": "PP-OCRv5_mobile", "options": {"minScore": 0.8}},
        }
    },
    "text": {"clip": {"textual": {"modelName": "ViT-B-32__openai", "options": {"language": "zh-CN"}}}},
}
"""What Immich asks for with default settings, by family."""


@dataclass
class Measurement:
    """What one closed loop saw.

    Attributes:
        seconds: from its start to its last answer.
        latencies: seconds of each right answer.
        ended_at: when each of them came, seconds from the start.
        errors: answers that were wrong, or none.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    ended_at: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def per_second(self) -> float:
        """Right answers per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, percent: float) -> float:
        """The latency that `percent` of the answers stay below, in milliseconds; NaN without answers."""
        return float(np.percentile(self.latencies, percent)) * 1000 if self.latencies else float("nan")

    def summary(self) -> dict[str, float]:
        """Rate and latencies for the report."""
        names = {f"p{percent}_ms": self.percentile_ms(percent) for percent in (50, 95, 99)}
        return {"per_second": self.per_second, **names, "answers": len(self.latencies), "errors": self.errors}


async def closed_loop(send: Send, *, clients: int, seconds: float, pause: float = 0.0) -> Measurement:
    """Keeps `clients` requests in flight for that long, and waits for the last answers.

    A client pauses `pause` seconds after each answer.
    """
    result = Measurement()
    started = time.perf_counter()

    async def client() -> None:
        while time.perf_counter() - started < seconds:
            before = time.perf_counter()
            right = await send()
            now = time.perf_counter()
            if right:
                result.latencies.append(now - before)
                result.ended_at.append(now - started)
            else:
                result.errors += 1
            if pause:
                await asyncio.sleep(pause)

    await asyncio.gather(*(client() for _ in range(clients)))
    result.seconds = time.perf_counter() - started
    return result


class ImmichClient:
    """Sends what Immich sends to one machine-learning URL."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/predict"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=300))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def predict(self, family: str, payload: bytes | str) -> dict[str, Any] | None:
        """The answer to one request of a family, or None when it is an error."""
        assert self._session is not None
        try:
            async with self._session.post(
                self._url,
                data=multipart(family, payload),
                headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
            ) as reply:
                content = await reply.read()
                return json.loads(content) if reply.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    def sender(self, family: str, payloads: Iterator[bytes | str]) -> Send:
        """A `Send` that takes its payloads from an iterator and checks that the answer is not an empty one."""

        async def send() -> bool:
            return is_right(family, await self.predict(family, next(payloads)))

        return send


def multipart(family: str, payload: bytes | str) -> bytes:
    """The body of one request: `entries`, then `image` or `text`."""
    entries = json.dumps(ENTRIES[family], separators=(",", ":"))
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="entries"\r\n\r\n{entries}\r\n--{BOUNDARY}\r\n'
    if isinstance(payload, str):
        part = f'Content-Disposition: form-data; name="text"\r\n\r\n{payload}'.encode()
    else:
        kind = 'Content-Disposition: form-data; name="image"; filename="blob"\r\n'
        part = f"{kind}Content-Type: application/octet-stream\r\n\r\n".encode() + payload
    return head.encode() + part + f"\r\n--{BOUNDARY}--\r\n".encode()


def is_right(family: str, answer: dict[str, Any] | None) -> bool:
    """Whether an answer has what every benchmark photo shows: a vector, faces, lines of text."""
    if answer is None:
        return False
    if family in ("clip", "text"):
        return isinstance(answer.get("clip"), str) and len(answer["clip"]) > 100
    if family == "face":
        return len(answer.get("facial-recognition", ())) > 0
    return len(answer.get("ocr", {}).get("text", ())) > 0
