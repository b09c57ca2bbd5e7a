"""Models come on first use, leave when idle or when memory is short, and never while somebody uses them."""

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from mesh.core import context
from mesh.core.errors import ModelNotFoundError, ModelUnavailableError, UnavailableError
from mesh.hub.catalogue import Family
from mesh.hub.fetch.progress import DownloadProgress, FetchStage, ProgressListener
from mesh.hub.store import CachedModel, ModelStore
from mesh.serving.inference.compute import ComputePool
from mesh.serving.lifecycle.failure import FAILURE_MEMORY_SECONDS
from mesh.serving.lifecycle.manager import ModelManager
from mesh.serving.lifecycle.part import ModelPart, PartFiles
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.lifecycle.slot import Loaded, SlotState
from tests.clock import FakeClock


@dataclass
class FakeModel:
    """A model in memory, and its own engine."""

    name: str
    memory_bytes: int = 100
    provider: str = "Fake"
    reason: str = ""
    started: int = 0
    drained: bool = False
    released: int = 0
    calibrated: int = 0
    closed: bool = False

    def start(self) -> None:
        self.started += 1

    async def drain(self) -> None:
        self.drained = True

    async def calibrate(self) -> None:
        self.calibrated += 1

    def release_idle(self) -> bool:
        self.released += 1
        return True

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeLoader:
    """Reads models; fails as often as told."""

    failures: int = 0
    loads: list[tuple[str, str]] = field(default_factory=list)
    models: list[FakeModel] = field(default_factory=list)

    def __call__(self, files: PartFiles) -> Loaded[FakeModel]:
        self.loads.append((files.model, files.part))
        if self.failures:
            self.failures -= 1
            raise UnavailableError("disk trouble")
        model = FakeModel(files.model)
        self.models.append(model)
        return Loaded(model, model, dimension=512)


class FakeStore(ModelStore):
    """Every model but `absent` is cached, unless a gate holds the download."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self.fetched: list[str] = []
        self.gate: asyncio.Event | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def fetch(self, family: Family, name: str, progress: ProgressListener | None = None) -> Path:
        self.fetched.append(name)
        if name == "blocked":
            raise ModelUnavailableError("the hub is blocked", 40)
        if name == "absent":
            raise ModelNotFoundError("no such model")
        if name == "forbidden":
            raise PermissionError(13, "Permission denied", "/nowhere/forbidden")
        if self.gate is not None and self.loop is not None:
            assert progress is not None
            progress(DownloadProgress(name, FetchStage.DOWNLOADING, 43, 100))
            asyncio.run_coroutine_threadsafe(self.gate.wait(), self.loop).result()
        return Path("/nowhere") / name

    def cached(self, family: Family) -> list[CachedModel]:
        return []


@dataclass
class Setup:
    manager: ModelManager
    parts: dict[str, ModelPart[FakeModel]]
    loader: FakeLoader
    store: FakeStore
    clock: FakeClock

    def acquire(self, name: str, part: str) -> AbstractAsyncContextManager[FakeModel]:
        return self.manager.acquire(self.parts[part], name)


@pytest.fixture
def compute() -> Iterator[ComputePool]:
    pool = ComputePool(2)
    yield pool
    pool.close()


def make(compute: ComputePool, family: Family = Family.CLIP, **policy: float) -> Setup:
    loader, store, clock = FakeLoader(), FakeStore(), FakeClock(1000.0)

    async def no_pause(_: float) -> None: ...

    parts = {name: ModelPart(name, loader, pinned=name == "textual") for name in family.parts}
    manager = ModelManager(
        family,
        store,
        tuple(parts.values()),
        compute,
        LifecyclePolicy("default", **policy),  # type: ignore[arg-type]
        clock=clock,
        pause=no_pause,
    )
    return Setup(manager, parts, loader, store, clock)


async def state_of(setup: Setup, name: str, part: str) -> SlotState:
    return next(status.state for status in await setup.manager.statuses() if (status.name, status.part) == (name, part))


async def use(setup: Setup, name: str = "m", part: str = "visual") -> FakeModel:
    async with setup.acquire(name, part) as model:
        return model


async def test_one_load_serves_all_who_wait_and_later_ones(compute: ComputePool) -> None:
    setup = make(compute)
    models = await asyncio.gather(*(use(setup) for _ in range(10)))
    assert len({id(model) for model in models}) == 1
    assert setup.loader.loads == [("m", "visual")]
    assert await state_of(setup, "m", "visual") is SlotState.LOADED


async def test_an_empty_name_is_the_default(compute: ComputePool) -> None:
    assert (await use(make(compute), "")).name == "default"


async def test_one_waiter_leaving_does_not_stop_the_load(compute: ComputePool) -> None:
    setup = make(compute)
    setup.store.gate, setup.store.loop = asyncio.Event(), asyncio.get_running_loop()
    leaver, stayer = asyncio.create_task(use(setup)), asyncio.create_task(use(setup))
    await asyncio.sleep(0)
    leaver.cancel()
    setup.store.gate.set()
    assert (await stayer).name == "m"


async def test_idle_parts_leave_after_their_time_but_pinned_and_used_ones_stay(compute: ComputePool) -> None:
    setup = make(compute, ttl_seconds=300)
    await use(setup, part="visual")
    await use(setup, part="textual")
    setup.clock.now += 299
    await setup.manager.sweep()
    assert await state_of(setup, "m", "visual") is SlotState.LOADED
    setup.clock.now += 1
    async with setup.acquire("other", "visual"):
        setup.clock.now += 1000
        await setup.manager.sweep()
        assert await state_of(setup, "other", "visual") is SlotState.LOADED
    assert await state_of(setup, "m", "visual") is SlotState.CACHED
    assert await state_of(setup, "m", "textual") is SlotState.LOADED
    assert setup.loader.models[0].closed


async def test_what_stays_is_asked_for_the_memory_of_its_pausing_runs(compute: ComputePool) -> None:
    setup = make(compute, ttl_seconds=300)
    await use(setup, part="visual")
    await setup.manager.sweep()
    assert setup.loader.models[0].released == 1
    assert not setup.loader.models[0].closed


async def test_the_budget_puts_out_the_least_recently_used_and_pinned_ones_last(compute: ComputePool) -> None:
    setup = make(compute, memory_budget_bytes=300)
    for name, part in [("a", "textual"), ("b", "visual"), ("c", "visual")]:
        setup.clock.now += 1
        await use(setup, name, part)
    setup.clock.now += 1
    await use(setup, "b")
    await use(setup, "d")
    assert await state_of(setup, "c", "visual") is SlotState.CACHED
    assert await state_of(setup, "a", "textual") is SlotState.LOADED
    assert await state_of(setup, "b", "visual") is SlotState.LOADED


async def test_unloading_a_used_model_waits_for_its_last_user(compute: ComputePool) -> None:
    setup = make(compute)
    async with setup.acquire("m", "visual") as model:
        await setup.manager.unload("m")
        closed_while_used = model.closed
    await setup.manager.unload("m")
    assert (closed_while_used, model.closed) == (False, True)
    assert (await use(setup)) is not model


async def test_a_failed_load_is_retried_then_reported_then_tried_again_later(compute: ComputePool) -> None:
    setup = make(compute)
    setup.loader.failures = 2
    assert (await use(setup)).name == "m"
    setup.loader.failures = 3
    with pytest.raises(UnavailableError, match="disk trouble"):
        await use(setup, "bad")
    tries = len(setup.loader.loads)
    with pytest.raises(UnavailableError):
        await use(setup, "bad")
    assert len(setup.loader.loads) == tries
    assert await state_of(setup, "bad", "visual") is SlotState.FAILED
    setup.clock.now += FAILURE_MEMORY_SECONDS
    assert (await use(setup, "bad")).name == "bad"


async def test_a_model_that_cannot_be_had_is_told_at_once_until_its_next_attempt_is_due(compute: ComputePool) -> None:
    setup = make(compute)
    for seconds_later, told in ((0, "again in 40 s"), (10, "again in 30 s"), (29.5, "again in 1 s")):
        setup.clock.now += seconds_later
        with pytest.raises(ModelUnavailableError, match=f"the hub is blocked; it is tried {told}"):
            await use(setup, "blocked")
    assert setup.store.fetched == ["blocked"]
    (status,) = [one for one in await setup.manager.statuses() if (one.name, one.part) == ("blocked", "visual")]
    assert status.error == "the hub is blocked"
    setup.clock.now += 1
    with pytest.raises(ModelUnavailableError, match="again in 40 s"):
        await use(setup, "blocked")
    assert setup.store.fetched == ["blocked", "blocked"]


async def test_models_of_single_languages_share_a_detector(compute: ComputePool) -> None:
    setup = make(compute, Family.OCR)
    korean, greek = "KOREAN__PP-OCRv5_mobile", "EL__PP-OCRv5_mobile"
    for name in (korean, greek):
        await setup.manager.load(name)
    assert setup.loader.loads == [
        ("PP-OCRv6_small", "detection"),
        (korean, "recognition"),
        (greek, "recognition"),
    ]
    shown = {(one.name, one.part) for one in await setup.manager.statuses() if one.state is SlotState.LOADED}
    assert shown == set(setup.loader.loads)
    assert (korean, "detection") not in {(one.name, one.part) for one in await setup.manager.statuses()}
    await setup.manager.unload(korean)
    async with setup.acquire(greek, "detection") as detector:
        assert detector.name == "PP-OCRv6_small"
    assert len(setup.loader.loads) == 3


async def test_all_who_wait_share_one_attempt(compute: ComputePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.serving.lifecycle.manager.log", structlog.get_logger())
    setup = make(compute)
    with capture_logs() as said:
        results = await asyncio.gather(*(use(setup, "blocked") for _ in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {ModelUnavailableError}
    assert setup.store.fetched == ["blocked"]
    assert [line["event"] for line in said] == ["model failed to load"]


async def test_a_load_that_ends_with_the_service_is_no_failure_in_the_log(
    compute: ComputePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesh.serving.lifecycle.manager.log", structlog.get_logger())
    setup = make(compute)
    setup.manager.stop_fetching()
    with capture_logs() as said, pytest.raises(ModelUnavailableError):
        await use(setup, "blocked")
    assert [(line["event"], line["log_level"]) for line in said] == [("model load stopped", "info")]


async def test_an_unknown_model_is_told_and_the_rest_goes_on(compute: ComputePool) -> None:
    setup = make(compute)
    with pytest.raises(ModelNotFoundError):
        await use(setup, "absent")
    assert (await use(setup)).name == "m"
    assert "absent" not in {status.name for status in await setup.manager.statuses()}, (
        "names that callers make up pile up"
    )


async def test_who_waits_for_a_download_is_told_how_far_it_is(compute: ComputePool) -> None:
    setup = make(compute)
    setup.store.gate, setup.store.loop = asyncio.Event(), asyncio.get_running_loop()
    context.deadline.set(time.monotonic() + 0.5)
    with pytest.raises(UnavailableError, match="43%"):
        await use(setup)
    assert await state_of(setup, "m", "visual") is SlotState.DOWNLOADING
    context.deadline.set(None)
    setup.store.gate.set()
    assert (await use(setup)).name == "m"


async def test_who_waited_for_a_load_gets_the_part_even_where_memory_is_short(compute: ComputePool) -> None:
    setup = make(compute, memory_budget_bytes=100)

    async def work(name: str) -> bool:
        async with setup.acquire(name, "visual") as model:
            for _ in range(20):
                await asyncio.sleep(0)
            return model.drained

    assert not any(await asyncio.gather(*(work(name) for name in "abcdef")))
    setup.clock.now += 1
    await setup.manager.sweep()
    loaded = [status for status in await setup.manager.statuses() if status.state is SlotState.LOADED]
    assert len(loaded) == 1, "what the budget allows stays when the users are done"


@pytest.mark.parametrize("unload_first", [True, False])
async def test_nobody_is_lent_a_part_on_its_way_out(compute: ComputePool, unload_first: bool) -> None:
    setup = make(compute, ttl_seconds=10)
    await use(setup)
    setup.clock.now += 100

    async def work() -> bool:
        async with setup.acquire("m", "visual") as model:
            for _ in range(5):
                await asyncio.sleep(0)
            return model.drained

    jobs = [setup.manager.sweep(), work()] if unload_first else [work(), setup.manager.sweep()]
    assert False in await asyncio.gather(*jobs)


async def test_a_reported_failure_keeps_no_request_alive(compute: ComputePool) -> None:
    class FakePhoto:
        """Stands for a request's bytes."""

    setup = make(compute)
    setup.loader.failures = 3
    photos = weakref.WeakSet[FakePhoto]()

    async def ask() -> None:
        photo = FakePhoto()
        photos.add(photo)
        with pytest.raises(UnavailableError, match="disk trouble"):
            await use(setup)

    for _ in range(5):
        await ask()
    await asyncio.sleep(0)  # the loop itself holds the future, and so the error, that woke this very step
    gc.collect()
    assert not photos


async def test_a_cache_that_cannot_be_read_is_told(compute: ComputePool) -> None:
    setup = make(compute)
    with pytest.raises(UnavailableError, match=r"Permission denied.*process is user \d+"):
        await use(setup, "forbidden")


async def test_unloading_while_it_loads_takes_it_out_when_it_is_there(compute: ComputePool) -> None:
    setup = make(compute)
    setup.store.gate, setup.store.loop = asyncio.Event(), asyncio.get_running_loop()
    loading = asyncio.create_task(setup.manager.load("m"))
    while await state_of(setup, "m", "visual") is not SlotState.DOWNLOADING:  # noqa: ASYNC110 - it downloads on a thread
        await asyncio.sleep(0)
    await setup.manager.unload("m")
    setup.store.gate.set()
    await loading
    await setup.manager.unload("none")  # waits for what is on its way out
    assert await state_of(setup, "m", "visual") is SlotState.CACHED


async def test_a_part_that_fills_the_budget_alone_stays(compute: ComputePool) -> None:
    setup = make(compute, memory_budget_bytes=50)
    model = await use(setup)
    await setup.manager.sweep()
    assert await use(setup) is model


async def test_a_preload_is_not_swept_away_while_it_makes_room(compute: ComputePool) -> None:
    setup = make(compute, memory_budget_bytes=100, ttl_seconds=10)
    await use(setup, "old")
    setup.clock.now += 100
    loading = asyncio.create_task(setup.manager.load("m"))
    while not loading.done():
        await setup.manager.sweep()
        await asyncio.sleep(0)
    await loading
