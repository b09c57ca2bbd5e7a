"""Pictures of any size in a few shapes: what is said of them is the same."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mesh.core.errors import UnavailableError
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes.onnxruntime import OnnxSession, ReferenceRun
from mesh.serving.runtimes.openvino import OpenVinoSession
from mesh.serving.runtimes.session import RuntimeSettings, StaticShapes
from mesh.serving.shapes.graphs import MaskedGraph
from mesh.serving.shapes.masked import MASK
from mesh.serving.shapes.padded import PaddedRuns
from mesh.serving.shapes.per_shape import BothForms, PerShapeSessions
from mesh.serving.shapes.shape_set import Shape
from tests.unit.mesh.serving.shapes.doubles import (
    SET,
    Compiler,
    approximately,
    masked_convolution,
    picture,
    save_fixed_convolution,
)

WHICH = {"model": "m", "part": "p"}


@pytest.fixture
def graph(tmp_path: Path) -> MaskedGraph:
    return masked_convolution(tmp_path)


@pytest.fixture
def plain(tmp_path: Path, graph: MaskedGraph) -> OnnxSession:
    return OnnxSession(tmp_path / "model.onnx", RuntimeSettings())


class Bench:
    """Sessions per shape of both forms, each with its compiler."""

    def __init__(self, graph: MaskedGraph, plain_path: Path, *, any_batch: bool = False) -> None:
        self.masked, self.plain = Compiler(graph.path), Compiler(plain_path)
        first = Shape(1, 128, 160)
        batches = SET.batches_of if any_batch else None
        self.sessions = PerShapeSessions(graph, self.masked, self.plain, first, batches=batches, which=WHICH)
        self.runs = PaddedRuns(graph, SET, self.sessions)


@pytest.fixture
def bench(graph: MaskedGraph, tmp_path: Path) -> Bench:
    return Bench(graph, tmp_path / "model.onnx")


def test_pictures_of_several_sizes_share_a_run_and_get_their_own_answers(
    graph: MaskedGraph, plain: OnnxSession
) -> None:
    runs = PaddedRuns(graph, SET)
    session = BothForms(plain, OnnxSession(graph.path, RuntimeSettings()))
    pictures = [picture(size, seed) for seed, size in enumerate([(96, 96), (128, 100), (97, 160), (128, 160)])]
    places = {runs.place_for(one) for one in pictures}
    assert places == {(128, 160)}

    results = runs.run(session, pictures, places.pop())

    for one, (result,) in zip(pictures, results, strict=True):
        assert result == approximately(plain.run(one)[0])


def test_a_thousand_photos_of_random_sizes_need_few_shapes(bench: Bench, plain: OnnxSession) -> None:
    draw = random.Random(3)
    for _ in range(1000):
        size = (draw.randint(1, 128), draw.randint(1, 160))
        pictures = [picture(size, seed) for seed in range(draw.choice((1, 1, 1, 2, 5)))]
        runs, place = bench.runs, bench.runs.place_for(pictures[0])
        results = runs.run(bench.sessions, pictures, place)
        assert [result.shape for (result,) in results] == [(1, 4, *size)] * len(pictures)

    assert set(bench.masked.ran) <= {(*shape[:1], 3, *shape.size) for shape in SET}
    assert len(bench.masked.compiled) <= len(SET)
    assert bench.plain.compiled == []


def test_who_waits_for_a_photo_waits_for_no_compilation(bench: Bench) -> None:
    small = picture((32, 32))
    assert bench.runs.place_for(small) == (128, 160)
    bench.runs.run(bench.sessions, [small] * 3, (128, 160))
    assert bench.masked.ran == [(1, 3, 128, 160)] * 3  # one by one: batches of four are not there yet

    bench.sessions.prepare(Shape(1, 64, 96))
    bench.sessions.prepare(Shape(4, 64, 96))
    bench.masked.ran.clear()
    assert bench.runs.place_for(small) == (64, 96)
    bench.runs.run(bench.sessions, [small] * 5, (64, 96))
    assert bench.masked.ran == [(4, 3, 64, 96), (1, 3, 64, 96)]


def test_what_nothing_ready_holds_is_compiled_for(bench: Bench) -> None:
    wide = picture((32, 300))
    place = bench.runs.place_for(wide)
    bench.runs.run(bench.sessions, [wide], place)
    assert bench.masked.compiled[-1] == (1, 3, *place) == (1, 3, 512, 512)


def test_a_picture_that_fills_its_shape_is_run_in_the_graph_as_it_was(bench: Bench, plain: OnnxSession) -> None:
    whole = picture((128, 160))
    bench.runs.run(bench.sessions, [whole], (128, 160))
    assert (bench.masked.ran, bench.plain.ran) == ([(1, 3, 128, 160)], [])  # the masked form was ready

    bench.sessions.prepare(Shape(1, 128, 160, is_filled=True))
    (((result,),), ran) = bench.runs.run(bench.sessions, [whole], (128, 160)), bench.plain.ran
    assert ran[-1] == (1, 3, 128, 160)
    assert result == approximately(plain.run(whole)[0])


def test_what_was_wanted_is_counted_though_something_else_was_run(bench: Bench) -> None:
    bench.runs.run(bench.sessions, [picture((32, 32))] * 3, (128, 160))
    bench.runs.run(bench.sessions, [picture((96, 64))], (128, 160))
    assert bench.runs.wanted == {Shape(4, 64, 96): 1, Shape(1, 96, 64, is_filled=True): 1}


def test_a_compilation_for_a_range_of_batches_serves_them_all(graph: MaskedGraph, tmp_path: Path) -> None:
    bench = Bench(graph, tmp_path / "model.onnx", any_batch=True)
    for count in (1, 3, 4):
        bench.runs.run(bench.sessions, [picture((100, 100))] * count, (128, 160))
    assert bench.masked.compiled == [(1, 3, 128, 160)]
    assert bench.masked.ran == [(1, 3, 128, 160), (3, 3, 128, 160), (4, 3, 128, 160)]
    assert bench.sessions.pixels == 4 * 128 * 160


def test_openvino_compiles_once_for_each_shape(graph: MaskedGraph, plain: OnnxSession, tmp_path: Path) -> None:
    """Its processor stands for its GPU and NPU: a graph of fixed shapes is compiled for each, and refuses any other."""
    runtime = RuntimeSettings(device=Device.OPENVINO, cores=1)
    compiled: list[tuple[int, ...]] = []

    def open_for(path: Path) -> Callable[[StaticShapes], OpenVinoSession]:
        def compile_for(shapes: StaticShapes) -> OpenVinoSession:
            session = OpenVinoSession(path, runtime, Precision.FP32, shapes=shapes)
            assert session.inputs[0].shape == shapes.inputs["x"]
            compiled.append(shapes.inputs["x"])
            return session

        return compile_for

    masked, whole = open_for(graph.path), open_for(tmp_path / "model.onnx")
    sessions = PerShapeSessions(graph, masked, whole, Shape(1, 64, 96), which=WHICH)
    runs = PaddedRuns(graph, SET, sessions)
    draw = random.Random(5)
    for number in range(60):
        one = picture((draw.randint(1, 128), draw.randint(1, 160)), number)
        (((result,),)) = runs.run(sessions, [one], runs.place_for(one))
        assert result == approximately(plain.run(one)[0])
    assert len(compiled) == len(set(compiled)) <= len(SET.sizes)
    with pytest.raises(RuntimeError):
        OpenVinoSession(graph.path, runtime, Precision.FP32, shapes=StaticShapes({"x": (1, 3, 64, 96)})).run(
            picture((96, 64))
        )
    sessions.close()


def test_onnxruntime_opens_a_session_for_one_shape(graph: MaskedGraph) -> None:
    shapes = StaticShapes({"x": (1, 3, 64, 96), MASK: (1, 1, 64, 96)})
    session = OnnxSession(graph.path, RuntimeSettings(), shapes=shapes)
    assert [info.shape for info in session.inputs] == [(1, 3, 64, 96), (1, 1, 64, 96)]


def test_a_graph_that_names_its_axes_is_opened_for_one_shape_by_their_names(tmp_path: Path) -> None:
    path = save_fixed_convolution(tmp_path)
    names = ReferenceRun(path).axis_names
    assert names == {"x": ("count", "", "", "")}
    session = OnnxSession(path, RuntimeSettings(), shapes=StaticShapes({"x": (4, 3, 32, 32)}, axis_names=names))
    assert session.inputs[0].shape == (4, 3, 32, 32)


def test_a_name_that_two_axes_share_sets_neither() -> None:
    shapes = StaticShapes({"x": (1, 3, 64, 96)}, axis_names={"x": ("batch", "", "?", "?")})
    assert shapes.open_axes == {"batch": 1}


def test_what_cannot_be_compiled_is_the_error_of_its_own_run(bench: Bench) -> None:
    bench.masked.refused = {(1, 3, 512, 512)}
    for _ in range(2):
        with pytest.raises(UnavailableError, match="too large"):
            bench.runs.run(bench.sessions, [picture((300, 300))], (512, 512))
    assert bench.runs.run(bench.sessions, [picture((100, 100))], (128, 160))


def test_two_that_need_the_same_shape_wait_for_one_compilation(bench: Bench) -> None:
    both = threading.Barrier(2)

    def run(number: int) -> None:
        both.wait()
        bench.runs.run(bench.sessions, [picture((300, 300), number)], (512, 512))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(run, range(2)))
    assert bench.masked.compiled.count((1, 3, 512, 512)) == 1


def test_memory_is_that_of_all_shapes(bench: Bench) -> None:
    of_one = bench.sessions.memory_bytes
    bench.sessions.prepare(Shape(1, 64, 96))
    assert bench.sessions.memory_bytes == 2 * of_one > 0
    assert bench.sessions.release_memory()
    bench.sessions.close()
    assert bench.sessions.memory_bytes == 0
