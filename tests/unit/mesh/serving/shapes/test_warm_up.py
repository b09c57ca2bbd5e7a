"""Shapes are compiled in the background, the most wanted first, and never in anybody's way."""

import asyncio
import os
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import Gauge

from mesh.serving.runtimes.compiled import CompiledFiles, Records
from mesh.serving.shapes.per_shape import PerShapeSessions
from mesh.serving.shapes.shape_set import Shape
from mesh.serving.shapes.warm_up import NICENESS, WarmUp, keep_wanted, wanted_before
from tests.unit.mesh.serving.shapes.doubles import SET, Compiler, masked_convolution, save_convolution
from tests.waiting import until

WHICH = {"model": "m", "part": "p"}


class Stage:
    """A warm-up whose machine is calm or not as a test says."""

    def __init__(self, folder: Path, wanted: Counter[Shape]) -> None:
        graph = masked_convolution(folder)
        self.masked, self.plain = Compiler(graph.path), Compiler(folder / "model.onnx")
        self.sessions = PerShapeSessions(graph, self.masked, self.plain, Shape(1, 64, 96), which=WHICH)
        self.ready = Gauge("ready", "", registry=None)
        self.calm = True
        self.looked = 0
        self.wanted = wanted
        self.warm_up = WarmUp(SET, self.sessions, wanted, self.is_calm, self.ready, WHICH, pause=self.pause)

    def is_calm(self) -> bool:
        return self.calm

    async def pause(self, seconds: float) -> None:
        self.looked += 1
        await asyncio.sleep(0)

    def shown(self) -> float:
        return next(iter(self.ready.collect())).samples[0].value


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, Counter())


async def test_every_size_for_one_photo_comes_before_larger_batches(stage: Stage) -> None:
    await stage.warm_up.run()
    assert [shape[:1] + shape[2:] for shape in stage.masked.compiled] == [
        *((1, 64, 96), (1, 96, 64), (1, 128, 160)),
        *((4, 64, 96), (4, 96, 64), (4, 128, 160)),
    ]
    assert stage.masked.ran == stage.masked.compiled[1:]  # each is run once, the first when somebody needs it
    assert stage.shown() == stage.sessions.ready == 6


async def test_what_was_wanted_most_comes_first(tmp_path: Path) -> None:
    wanted = Counter({Shape(4, 128, 160): 3, Shape(1, 96, 64, is_filled=True): 2, Shape(4, 512, 512): 9})
    stage = Stage(tmp_path, wanted)
    await stage.warm_up.run()
    assert stage.masked.compiled[1] == (4, 3, 128, 160)
    assert stage.plain.compiled == [(1, 3, 96, 64)]  # of those that pictures fill, what was seen
    assert (4, 3, 512, 512) not in stage.masked.compiled  # beyond the set: compiled when it comes again


async def test_what_is_wanted_meanwhile_counts(stage: Stage) -> None:
    stage.masked.meanwhile = lambda: stage.wanted.update([Shape(4, 96, 64)])
    await stage.warm_up.run()
    assert stage.masked.compiled[2] == (4, 3, 96, 64)


async def test_nothing_is_begun_while_photos_are_under_way(stage: Stage) -> None:
    stage.calm = False
    stage.warm_up.start()
    await until(lambda: stage.looked > 50)
    assert stage.masked.compiled == [(1, 3, 64, 96)]
    stage.calm = True
    await until(lambda: stage.sessions.ready == 6)
    await stage.warm_up.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
async def test_the_thread_that_compiles_steps_back(stage: Stage) -> None:
    niceness: list[int] = []
    stage.masked.meanwhile = lambda: niceness.append(os.getpriority(os.PRIO_PROCESS, 0))
    await stage.warm_up.run()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert set(niceness) == {min(19, own + NICENESS)}
    await stage.warm_up.stop()


async def test_a_shape_that_cannot_be_compiled_is_left_and_the_others_come(stage: Stage) -> None:
    stage.masked.refused = {(1, 3, 128, 160)}
    await stage.warm_up.run()
    assert stage.masked.compiled.count((1, 3, 128, 160)) == 1
    assert stage.shown() == stage.sessions.ready == 5


async def test_no_more_is_compiled_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.serving.shapes.shape_set.RUN_PIXELS", 0)
    monkeypatch.setattr("mesh.serving.shapes.shape_set.ROOM", 2)
    stage = Stage(tmp_path, Counter({Shape(1, 96, 64): 5}))
    await stage.warm_up.run()
    assert stage.masked.compiled == [(1, 3, 64, 96), (1, 3, 96, 64), (1, 3, 128, 160)]  # 32768 pixels of 40960
    assert stage.sessions.pixels <= SET.room_pixels


async def test_it_stops_when_the_one_under_way_is_done(stage: Stage) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def compile_slowly() -> None:
        begun.set()
        may_end.wait()

    stage.masked.meanwhile = compile_slowly
    stage.warm_up.start()
    await until(begun.is_set)
    stopping = asyncio.create_task(stage.warm_up.stop())
    await asyncio.sleep(0)
    assert not stopping.done()  # its session would be closed under it
    may_end.set()
    await stopping
    assert stage.sessions.ready == 2
    assert len(stage.masked.compiled) == 2


async def test_one_that_never_began_stops(stage: Stage) -> None:
    await stage.warm_up.stop()


def test_a_restart_knows_what_was_wanted(tmp_path: Path) -> None:
    records = Records(CompiledFiles(save_convolution(tmp_path), tmp_path), ("1.0",))
    assert wanted_before(records) == {}
    keep_wanted(records, {Shape(1, 64, 96): 9, Shape(4, 96, 64, is_filled=True): 1})
    assert wanted_before(records) == {Shape(1, 64, 96): 5, Shape(4, 96, 64, is_filled=True): 1}
    keep_wanted(records, {})
    assert len(wanted_before(records)) == 2


def test_a_note_that_holds_anything_else_is_left(tmp_path: Path) -> None:
    records = Records(CompiledFiles(save_convolution(tmp_path), tmp_path), ("1.0",))
    records.write({"1x64x96": 2, "much": 3, "1x2x3": "often", "4x5x6": -1}, "wanted shapes")
    assert wanted_before(records) == {Shape(1, 64, 96): 2}


def test_without_a_place_nothing_is_kept() -> None:
    keep_wanted(None, {Shape(1, 64, 96): 9})
    assert wanted_before(None) == {}
