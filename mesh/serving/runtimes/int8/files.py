"""The int8 version of a graph on disk: OpenVINO's own files, and what they were made of.

<graph>.int8.xml, <graph>.int8.bin    the graph and its weights
<graph>.int8.json                     checksums of these and of the graph, who made them, the cosine that was measured
<graph>.int8.npz                      inputs that it did not learn from, for the self-check of graphs without a judge

They lie beside the graph, where `immich-mesh models quantise` wrote them, or in a service's package: those are measured
by us, and `auto` may take them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from mesh.core.errors import UnavailableError
from mesh.serving.runtimes.self_check import SelfCheck
from mesh.serving.runtimes.session import Array, Feeds

MARK = "int8"
LEAST_COSINE = 0.99
"""Between fp32's outputs and those of int8, on inputs that it did not learn from. Whoever asks for int8 accepts more
than what is between fp32 and bf16."""
NO_VERSION = "this graph has no int8 version: `immich-mesh models quantise` makes one of what photos run through"
_SEPARATOR = "/"
"""Between the number of an input in its file and its name."""


@dataclass(frozen=True)
class Manifest:
    """What an int8 version was made of.

    Attributes:
        source_sha256: of the graph.
        xml_sha256, bin_sha256: of the version's own files.
        made_by: the quantiser and its runtime, with their versions.
        learned_from: how many inputs, of which photos.
        cosine: the lowest between its outputs and fp32's when it was made; None where its family has a judge.
    """

    source_sha256: str
    xml_sha256: str
    bin_sha256: str
    made_by: str
    learned_from: str
    cosine: float | None = None


@dataclass(frozen=True)
class Int8Files:
    """One graph's int8 version.

    Attributes:
        stem: path without the last suffix, e.g. `.../model.int8`.
        comes_with_service: whether it is part of a service, and so measured by its authors.
    """

    stem: Path
    comes_with_service: bool = False

    @classmethod
    def beside(cls, graph: Path, folder: Path | None = None) -> "Int8Files":
        """Where the version of a graph belongs: beside it, or in another folder."""
        return cls((folder or graph.parent) / f"{graph.stem}.{MARK}", comes_with_service=folder is not None)

    @classmethod
    def find(cls, graph: Path, folder: Path | None) -> "Int8Files | None":
        """The version that is there: beside the graph, else in the service's folder of them."""
        places = [cls.beside(graph)] + ([cls.beside(graph, folder)] if folder else [])
        return next((files for files in places if files.manifest_path.is_file()), None)

    @property
    def graph(self) -> Path:
        """OpenVINO's file; the weights lie beside it."""
        return self._with("xml")

    @property
    def weights(self) -> Path:
        """The weights."""
        return self._with("bin")

    @property
    def manifest_path(self) -> Path:
        """What it was made of; written last."""
        return self._with("json")

    @property
    def inputs_path(self) -> Path:
        """Inputs for the self-check."""
        return self._with("npz")

    def manifest(self) -> Manifest:
        """What it was made of. Raises ValueError: the file cannot be read, or lacks something."""
        try:
            return Manifest(**json.loads(self.manifest_path.read_text("utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise ValueError(f"{self.manifest_path} is no manifest: {error}") from error

    def write_manifest(self, manifest: Manifest) -> None:
        """Says what it was made of: from now on it counts as there."""
        self.manifest_path.write_text(json.dumps(asdict(manifest), indent=2) + "\n", "utf-8")

    def fault(self, source: Path) -> str:
        """Why it cannot stand for a graph: of another file, or damaged. Empty when it can. Reads all of the files."""
        try:
            manifest = self.manifest()
            if sha256(source) != manifest.source_sha256:
                return "was made of another file: make it again (immich-mesh models quantise)"
            if (sha256(self.graph), sha256(self.weights)) != (manifest.xml_sha256, manifest.bin_sha256):
                return f"{self.graph} or its weights are damaged"
        except (OSError, ValueError) as error:
            return str(error)
        return ""

    def write_inputs(self, inputs: Sequence[Feeds]) -> None:
        """Keeps inputs for the self-check, numbers in two bytes."""
        arrays = {
            f"{number}{_SEPARATOR}{name}": array.astype(np.float16) if array.dtype == np.float32 else array
            for number, feeds in enumerate(inputs)
            for name, array in feeds.items()
        }
        with self.inputs_path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    def own_check(self) -> SelfCheck | None:
        """The self-check on the inputs that are kept; None without any. Raises UnavailableError: damaged."""
        if not self.inputs_path.is_file():
            return None
        feeds: dict[str, dict[str, Array]] = {}
        try:
            with np.load(self.inputs_path, allow_pickle=False) as kept:
                for key, array in kept.items():
                    number, name = key.split(_SEPARATOR, 1)
                    exact = array.astype(np.float32) if array.dtype == np.float16 else array
                    feeds.setdefault(number, {})[name] = exact
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise UnavailableError(f"{self.inputs_path} is damaged: {error}") from error
        return SelfCheck(list(feeds.values()), least_cosine=LEAST_COSINE)

    def _with(self, suffix: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}.{suffix}")


def sha256(path: Path) -> str:
    """Of a file, hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
