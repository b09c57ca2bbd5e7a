"""A session that runs nothing."""

from collections.abc import Mapping

from mesh.serving.runtimes.session import NOTHING_ENDS_IT, Array, Interruption, TensorInfo


class FakeSession:
    """Remembers how it was run."""

    inputs = (TensorInfo("x", (None, 1), "float32"),)
    outputs = (TensorInfo("y", (None, 1), "float32"),)
    metadata: Mapping[str, str] = {}
    provider = "Fake"
    memory_bytes = 10

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.batches: list[int] = []
        self.interruptions: list[Interruption] = []
        self.released = 0
        self.closed = False

    def run(self, feeds: Mapping[str, Array], interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        self.batches.append(len(feeds["x"]))
        self.interruptions.append(interruption)
        return [feeds["x"]]

    def release_memory(self) -> bool:
        self.released += 1
        return True

    def close(self) -> None:
        self.closed = True
