"""The memory that onnxruntime's runs on the processor work in: one arena for all sessions of this process.

Each session would keep an arena of its own for ever, as large as its largest run: narrow and wide session, detector and
recogniser, though they seldom run at the same time. (Measured on the default OCR model after lines and pages of several
shapes: 430 MB instead of 667.)
"""

import functools
from typing import TYPE_CHECKING

import numpy as np

from mesh.serving.runtimes.providers import TINY_GRAPH

if TYPE_CHECKING:
    import onnxruntime

_POWERS_OF_TWO = 0
"""How the arena grows. By what is asked it would be in pieces after a few shapes: 748 MB instead of 430."""
_DEFAULT = -1


def use_shared_arena(options: "onnxruntime.SessionOptions") -> None:
    """A session of these options works in the shared arena; its weights lie outside and go with it."""
    _make_arena()
    _enter(options)


def shrink_arena() -> None:
    """Gives back what no run works in now."""
    _run_tiny_graph()


@functools.cache
def _make_arena() -> None:
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    arena = onnxruntime.OrtArenaCfg(0, _POWERS_OF_TWO, _DEFAULT, _DEFAULT)
    onnxruntime.create_and_register_allocator(memory, arena)
    _run_tiny_graph()  # the arena's first piece is never given back: it shall be a small one


def _enter(options: "onnxruntime.SessionOptions") -> None:
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")


def _run_tiny_graph() -> None:
    """Runs in the arena and gives back all that is free then."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    _enter(options)
    session = onnxruntime.InferenceSession(TINY_GRAPH, options, providers=["CPUExecutionProvider"])
    shrinking = onnxruntime.RunOptions()
    shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    session.run(None, {"x": np.zeros((2, 2), np.float32)}, shrinking)
