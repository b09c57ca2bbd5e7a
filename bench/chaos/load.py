"""The client: requests as Immich sends them, one attempt per URL, every answer compared with the known one."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import orjson

from bench.chaos.questions import Questions, StubQuestions

SIX_TASKS = ("clip", "ocr", "facial-recognition", "clip", "ocr", "clip-text")
"""What one in six requests asks: mostly photos, now and then a search."""

_ENTRIES = {
    "clip": {"clip": {"visual": {"modelName": "ViT-B-32__openai"}}},
    "clip-text": {"clip": {"textual": {"modelName": "ViT-B-32__openai", "options": {"language": "zh-CN"}}}},
    "facial-recognition": {
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
}


@dataclass
class Outcome:
    """What came of a load. `failures` says what went wrong; empty is the aim.

    Attributes:
        seconds: latencies of right answers by task.
        finished_at, in_order: when each right answer came (`time.monotonic()`) and its latency.
        second_url: how many came from another URL than the first.
        wrong: how many of the failures were answers, but not the right ones.
        quarantined: how many answers were a refusal of the payload.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    finished_at: list[float] = field(default_factory=list)
    in_order: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    second_url: int = 0
    wrong: int = 0
    quarantined: int = 0

    @property
    def answered(self) -> int:
        """Requests that were answered right."""
        return sum(map(len, self.seconds.values()))

    def latencies(self) -> list[float]:
        """Of all tasks, sorted."""
        return sorted(second for group in self.seconds.values() for second in group)


class Load:
    """A bounded load.

    Args:
        urls: tried in their order, one attempt each, as Immich does.
        requests: how many in all.
        concurrency: how many at a time.
        tasks: asked for in turn.
        questions: the payloads and their right answers.
    """

    def __init__(
        self,
        urls: Sequence[str],
        requests: int,
        concurrency: int = 24,
        tasks: Sequence[str] = SIX_TASKS,
        questions: Questions | None = None,
    ) -> None:
        self._urls = urls
        self._requests = requests
        self._concurrency = concurrency
        self._tasks = tasks
        self._questions = questions or StubQuestions()
        self._next = 0
        self.all_sent = asyncio.Event()
        self.outcome = Outcome()

    @property
    def finished(self) -> bool:
        """Whether every request has been sent."""
        return self.all_sent.is_set()

    async def run(self) -> Outcome:
        """Sends everything and waits for the last answer."""
        timeout = aiohttp.ClientTimeout(total=300)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)  # Immich closes idle connections after 4 s
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            await asyncio.gather(*(self._worker(session) for _ in range(self._concurrency)))
        return self.outcome

    async def _worker(self, session: aiohttp.ClientSession) -> None:
        while self._next < self._requests:
            number = self._next
            self._next += 1
            if self._next == self._requests:
                self.all_sent.set()
            task = self._tasks[number % len(self._tasks)]
            payload = self._questions.payload(task, number)
            await self._ask(session, task, payload)

    async def _ask(self, session: aiohttp.ClientSession, task: str, payload: bytes) -> None:
        started = time.monotonic()
        errors = []
        for number, url in enumerate(self._urls):
            try:
                async with session.post(f"{url}/predict", data=_form(task, payload)) as reply:
                    body = await reply.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                errors.append(f"{url}: {type(error).__name__} {error}")
                continue
            if reply.status != 200:
                self.outcome.quarantined += b"quarantined_payload" in body
                errors.append(f"{url}: {reply.status} {body[:300]!r}")
                continue
            self._note(task, payload, body, time.monotonic() - started)
            self.outcome.second_url += number > 0
            return
        self.outcome.failures.append(f"{task}: {'; '.join(errors)}")

    def _note(self, task: str, payload: bytes, body: bytes, seconds: float) -> None:
        if not self._questions.is_right(task, payload, body):
            self.outcome.wrong += 1
            self.outcome.failures.append(f"{task}: wrong answer {body[:200]!r}")
            return
        self.outcome.seconds.setdefault(task, []).append(seconds)
        self.outcome.in_order.append(seconds)
        self.outcome.finished_at.append(time.monotonic())


def _form(task: str, payload: bytes) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("entries", orjson.dumps(_ENTRIES[task]).decode())
    if task == "clip-text":
        form.add_field("text", payload.decode())
    else:
        form.add_field("image", payload, filename="blob", content_type="application/octet-stream")
    return form
