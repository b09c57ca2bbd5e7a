"""Payloads that crash services: what counts as evidence, and what a cluster does with it, on fake time."""

import asyncio
from typing import Any

import pytest

from mesh.core.errors import MeshError
from router.config import QuarantineSettings
from router.domain.requests import Content
from router.domain.tasks import Lane
from router.errors import QuarantinedPayloadError
from router.upstream.admission.quarantine import MAX_REMEMBERED, Quarantine
from router.upstream.calls import Call, FailureKind, TryFailedError
from router.upstream.endpoints.endpoint import Probe
from tests.doubles.upstream import Behaviour, FakeTiming, Stand, failing, failing_first

CRASHING, OTHER = Content(b"crashing"), Content(b"another photo")
RESTART_SECONDS = 3.0


class TestEvidence:
    """`Quarantine` alone."""

    def memory(self, timing: FakeTiming | None = None, **settings: float) -> Quarantine:
        return Quarantine(QuarantineSettings(**settings), (timing or FakeTiming()).now)

    def crash(
        self, memory: Quarantine, content: Content = CRASHING, *, exclusive: bool = True, quiet: bool = True
    ) -> bool:
        return memory.record_crash(content, "/x/Y", exclusive=exclusive, quiet=quiet)

    def test_crashes_alone_in_quiet_with_others_answered_between_count(self) -> None:
        memory = self.memory()
        assert not self.crash(memory, exclusive=False, quiet=False)
        assert memory.is_suspect(CRASHING)
        memory.clear(OTHER, "/x/Y")
        assert not self.crash(memory)
        memory.clear(OTHER, "/x/Y")
        assert self.crash(memory)
        with pytest.raises(QuarantinedPayloadError, match="5 minutes"):
            memory.check(CRASHING)
        memory.check(OTHER)

    @pytest.mark.parametrize("missing", ["exclusive", "quiet", "answer", "answer of the method"])
    def test_without_one_of_them_nothing_counts(self, missing: str) -> None:
        memory = self.memory()
        for _ in range(50):
            assert not self.crash(memory, exclusive=missing != "exclusive", quiet=missing != "quiet")
            if missing == "answer of the method":
                memory.clear(OTHER, "/x/Z")
            elif missing != "answer":
                memory.clear(OTHER, "/x/Y")
        memory.check(CRASHING)

    def test_an_answer_clears(self) -> None:
        memory = self.memory(crashes=1)
        self.crash(memory)
        memory.clear(CRASHING, "/x/Y")
        assert not memory.is_suspect(CRASHING)
        assert not self.crash(memory)

    def test_a_suspect_that_is_answered_after_all_shows_that_something_else_kills(self) -> None:
        memory, unlucky = self.memory(), Content(b"unlucky")
        for content in (CRASHING, unlucky):
            self.crash(memory, content)
        memory.clear(OTHER, "/x/Y")
        for content in (CRASHING, unlucky):
            self.crash(memory, content)
        memory.clear(unlucky, "/x/Y")
        assert not self.crash(memory)
        memory.clear(OTHER, "/x/Y")
        assert self.crash(memory)

    def test_it_is_forgotten_after_minutes(self) -> None:
        timing = FakeTiming()
        memory = self.memory(timing, crashes=1, remember_seconds=300)
        self.crash(memory)
        memory.clear(OTHER, "/x/Y")
        assert self.crash(memory)
        timing._now += 299
        with pytest.raises(QuarantinedPayloadError):
            memory.check(CRASHING)
        timing._now += 2
        memory.check(CRASHING)
        self.crash(memory)
        timing._now += 301
        assert not memory.is_suspect(CRASHING)

    def test_memory_is_bounded(self) -> None:
        memory = self.memory()
        for number in range(MAX_REMEMBERED + 10):
            self.crash(memory, Content(b"%d" % number))
        assert not memory.is_suspect(Content(b"0"))
        assert memory.is_suspect(Content(b"%d" % (MAX_REMEMBERED + 9)))

    def test_payloads_of_another_length_are_not_even_hashed(self) -> None:
        memory, other = self.memory(), Content(b"123456")
        self.crash(memory, Content(b"12345"))
        memory.check(other)
        assert not memory.is_suspect(other)
        memory.clear(other, "/x/Y")
        assert other._digest is None


class Replicas:
    """Endpoints that work on a call for a while, die of certain payloads or when killed, and are started again."""

    def __init__(self, stand: Stand, *crashing: bytes, work_seconds: float = 1.0) -> None:
        self.deaths: list[str] = []
        self.asked: list[tuple[str, bool]] = []
        self._stand = stand
        self._crashing = crashing
        self._work_seconds = work_seconds
        self._lives = {address: asyncio.Event() for address in stand.endpoints.by_address}
        for address in stand.endpoints.by_address:
            stand.endpoints[address].behave = self._behaviour(address)

    def kill(self, address: str) -> None:
        """As a node that is drained, or the kernel when memory is short."""
        if self._stand.endpoints[address].health is not Probe.SERVING:
            return
        self.deaths.append(address)
        self._stand.endpoints[address].health = Probe.UNREACHABLE
        life, self._lives[address] = self._lives[address], asyncio.Event()
        life.set()
        self._stand.timing.call_later(RESTART_SECONDS, lambda: self._restart(address))

    def _restart(self, address: str) -> None:
        self._stand.endpoints[address].health = Probe.SERVING

    def _behaviour(self, address: str) -> Behaviour:
        async def behave(call: Call) -> Any:
            if self._stand.endpoints[address].health is not Probe.SERVING:
                raise TryFailedError(FailureKind.UNREACHABLE, MeshError("gone"))
            life = self._lives[address]
            self.asked.append((address, call.exclusive))
            if call.content.data in self._crashing:
                await self._stand.timing.sleep(self._work_seconds / 2)
                self.kill(address)
            work = asyncio.create_task(self._stand.timing.sleep(self._work_seconds))
            death = asyncio.create_task(life.wait())
            await asyncio.wait([work, death], return_when=asyncio.FIRST_COMPLETED)
            for task in (work, death):
                task.cancel()
            if life.is_set():
                raise TryFailedError(FailureKind.DIED, MeshError("died"), exclusive=call.exclusive)
            return "ok"

        return behave


async def photos(stand: Stand, seconds: float) -> list[Any]:
    """Clients that go on sending different photos for so long; their answers."""

    async def client(name: str) -> list[Any]:
        answers, end, number = [], stand.timing.now() + seconds, 0
        while stand.timing.now() < end:
            number += 1
            answers.append(await stand.cluster.call(stand.call(f"{name} {number}".encode()), stand.policy))
        return answers

    return [answer for group in await asyncio.gather(*(client(f"c{n}") for n in range(4))) for answer in group]


@pytest.mark.parametrize("replicas", [1, 2, 3])
async def test_a_crashing_photo_among_other_photos_is_quarantined_and_they_are_answered(replicas: int) -> None:
    async with Stand(count=replicas) as stand:
        fragile = Replicas(stand, b"crashing")
        others = asyncio.create_task(photos(stand, 200))
        await stand.timing.advance(20)
        crashing = stand.send(b"crashing")
        await stand.timing.advance(150)
        with pytest.raises(QuarantinedPayloadError, match="refused for 5 minutes"):
            await crashing
        deaths = len(fragile.deaths)
        assert deaths <= 5
        with pytest.raises(QuarantinedPayloadError):
            await stand.send(b"crashing")
        assert len(fragile.deaths) == deaths
        assert stand.count("upstream_quarantined_total", cluster="test") == 2
        await stand.timing.advance(120)
        assert set(await others) == {"ok"}
        assert stand.cluster.active(Lane.IMAGE) == 0


@pytest.mark.parametrize("replicas", [1, 2, 3])
async def test_several_crashing_photos_are_all_found(replicas: int) -> None:
    async with Stand(count=replicas) as stand:
        crashing = [b"crashing %d" % number for number in range(3)]
        Replicas(stand, *crashing)
        others = asyncio.create_task(photos(stand, 400))
        tasks = [stand.send(photo, seconds=600) for photo in crashing]
        await stand.timing.advance(700)
        for task in tasks:
            with pytest.raises(QuarantinedPayloadError):
                await task
        assert set(await others) == {"ok"}


@pytest.mark.parametrize("replicas", [1, 2, 3])
async def test_replicas_killed_from_outside_quarantine_nobody(replicas: int) -> None:
    async with Stand(count=replicas) as stand:
        fragile = Replicas(stand)
        work = asyncio.create_task(photos(stand, 600))
        addresses = list(stand.endpoints.by_address)
        for number in range(40):
            await stand.timing.advance(15)
            fragile.kill(addresses[number % replicas])
        await stand.timing.advance(120)
        assert set(await work) == {"ok"}
        assert stand.count("upstream_quarantined_total", cluster="test") == 0


@pytest.mark.parametrize("replicas", [1, 2, 3])
async def test_whoever_works_on_a_slow_photo_is_killed_and_it_is_answered_in_the_end(replicas: int) -> None:
    async with Stand(count=replicas) as stand:
        fragile = Replicas(stand, work_seconds=20)
        task = stand.send(b"slow")
        for _ in range(replicas + 1):
            await stand.timing.advance(12)
            for address in stand.endpoints.by_address:
                if stand.endpoint(address).active:
                    fragile.kill(address)
        await stand.timing.advance(100)
        assert await task == "ok"


async def test_a_suspect_is_worked_on_alone() -> None:
    async with Stand() as stand:
        fragile = Replicas(stand)
        task = stand.send(b"photo")
        await stand.timing.advance(0.5)
        fragile.kill("a:1")
        await stand.timing.advance(10)
        assert await task == "ok"
        assert fragile.asked == [("a:1", False), ("a:1", True)]
        assert not stand.cluster.quarantine.is_suspect(Content(b"photo"))


async def test_when_every_endpoint_dies_nobody_is_quarantined() -> None:
    async with Stand(count=3) as stand:
        for transport in stand.endpoints.by_address.values():
            transport.behave = failing(FailureKind.DIED)
        task = stand.send(b"photo")
        await stand.timing.advance(0.3)
        for transport in stand.endpoints.by_address.values():
            transport.health = Probe.UNREACHABLE
        await stand.timing.advance(20)
        assert not task.done()
        for transport in stand.endpoints.by_address.values():
            transport.health = Probe.SERVING
            transport.behave = failing_first(0, FailureKind.DIED)
        await stand.timing.advance(60)
        assert await task == "ok"
