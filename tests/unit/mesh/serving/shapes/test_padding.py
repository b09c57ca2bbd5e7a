"""What an engine has of its shapes, and what it leaves for the next process."""

from collections.abc import Sequence
from pathlib import Path

from mesh.core.settings import Device
from mesh.serving.runtimes.compiled import CompiledFiles, Records
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.selection import RuntimeChoice
from mesh.serving.runtimes.self_check import MakeCheck, SelfCheck
from mesh.serving.runtimes.session import RuntimeSettings, TensorInfo
from mesh.serving.shapes.masked import MASK
from mesh.serving.shapes.padding import Padding
from mesh.serving.shapes.shape_set import Shape
from tests.unit.mesh.serving.shapes.doubles import SET, Compiler, picture, save_convolution
from tests.waiting import until

WHICH = {"model": "m", "part": "of padding"}


class Process:
    """One process that serves the graph in a folder, on a device that compiles."""

    def __init__(self, folder: Path) -> None:
        self.compilers: list[Compiler] = []
        self.checks: list[SelfCheck | None] = []
        path = save_convolution(folder) if not (folder / "model.onnx").exists() else folder / "model.onnx"
        records = Records(CompiledFiles(path, folder), ("1.0",))

        def choose(graph: Path, check: MakeCheck) -> RuntimeChoice:
            self.checks.append(check(OnnxSession(graph, RuntimeSettings()).inputs))
            self.compilers.append(Compiler(graph))
            return RuntimeChoice(
                lambda threads: OnnxSession(graph, RuntimeSettings()), self.compilers[-1], records=records
            )

        runtime = RuntimeSettings(device=Device.ROCM, cache_folder=folder)

        def check(inputs: Sequence[TensorInfo]) -> SelfCheck:
            return SelfCheck([picture((64, 96))])

        padding = Padding.of(path, runtime, SET, choose, check, lambda: True, WHICH)
        assert padding is not None
        self.padding = padding
        self.session = padding.choice.open(1)

    def read(self, size: tuple[int, int]) -> None:
        one = picture(size)
        self.padding.runs.run(self.session, [one], self.padding.runs.place_for(one))


def test_the_largest_is_compiled_at_once_in_the_masked_form(tmp_path: Path) -> None:
    process = Process(tmp_path)
    plain, masked = process.compilers
    assert (plain.compiled, masked.compiled) == ([], [(1, 3, 128, 160)])


def test_the_masked_form_is_checked_on_pictures_that_fill_its_mask(tmp_path: Path) -> None:
    plain, masked = Process(tmp_path).checks
    assert plain is not None
    assert masked is not None
    assert list(plain.feeds[0]) == ["x"]
    assert masked.feeds[0][MASK].shape == (1, 1, 64, 96)
    assert masked.feeds[0][MASK].all()


async def test_a_restart_compiles_first_what_was_wanted(tmp_path: Path) -> None:
    before = Process(tmp_path)
    for _ in range(3):
        before.read((90, 64))
    before.padding.keep_wanted()

    after = Process(tmp_path)
    assert after.padding.runs.wanted == {Shape(1, 96, 64): 2}
    after.padding.start()
    await until(lambda: after.padding.runs.place_for(picture((90, 64))) == (96, 64))
    await after.padding.stop()
    assert after.compilers[1].compiled[:2] == [(1, 3, 128, 160), (1, 3, 96, 64)]
