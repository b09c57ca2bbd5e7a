"""The Dockerfile as data: its stages with their instructions, read as BuildKit reads them."""

import json
import re
import shlex
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("ocr", "clip", "face")
TARGETS = ("router", *SERVICES, "cli", "export")


@dataclass
class BuildStage:
    """One `FROM ... AS name` and what follows."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """The arguments of every such instruction of this stage alone."""
        return [argument for name, argument in self.instructions if name == instruction]


class Dockerfile:
    """The file's stages by name."""

    def __init__(self, path: Path = ROOT / "Dockerfile") -> None:
        self.arguments: dict[str, str] = {}
        self.stages: dict[str, BuildStage] = {}
        stage: BuildStage | None = None
        for line in _logical_lines(path.read_text()):
            instruction, _, argument = line.partition(" ")
            argument = argument.strip()
            if instruction == "FROM":
                base, _, name = argument.partition(" AS ")
                stage = BuildStage(name, base)
                self.stages[name] = stage
            elif stage is None:
                name, _, value = argument.partition("=")
                self.arguments[name] = value
            else:
                stage.instructions.append((instruction, argument))

    def lineage(self, target: str, **arguments: str) -> list[BuildStage]:
        """The stage and those it is built from, the oldest first; `arguments` as of `--build-arg`."""
        given = self.arguments | arguments
        found: list[BuildStage] = []
        name = target
        while name in self.stages:
            found.insert(0, self.stages[name])
            name = self.stages[name].base
            if name.startswith("base-"):
                name = name.replace("${GPU}", given["GPU"])
        return found

    def last(self, target: str, instruction: str) -> str:
        """What holds in the image: the last such instruction of its lineage. Raises KeyError."""
        for stage in reversed(self.lineage(target)):
            if given := stage.all(instruction):
                return given[-1]
        raise KeyError(instruction)

    def environment(self, target: str) -> dict[str, str]:
        """All ENV variables of an image."""
        found: dict[str, str] = {}
        for stage in self.lineage(target):
            for argument in stage.all("ENV"):
                found |= dict(word.split("=", 1) for word in shlex.split(argument))
        return found

    def command(self, target: str, instruction: str) -> list[str]:
        """ENTRYPOINT, CMD or HEALTHCHECK's CMD in exec form."""
        words: list[str] = json.loads(
            self.last(target, instruction).partition("CMD ")[2] or self.last(target, instruction)
        )
        return words

    def sync_arguments(self, target: str, variant: str = "cpu") -> list[str]:
        """What the image's installation passes to `uv sync`, the project's own wheel included."""
        runs = [run for run in self.stages[f"install-{target}"].all("RUN") if run.startswith("uv sync")]
        return [word.replace("${VARIANT}", variant) for word in shlex.split(runs[-1])[2:]]

    def extras(self, target: str, variant: str = "cpu") -> list[str]:
        """The extras of `sync_arguments`."""
        words = self.sync_arguments(target, variant)
        return [extra for option, extra in pairwise(words) if option == "--extra"]

    def variants(self, target: str) -> tuple[str, ...]:
        """The variants that an image is built in."""
        return ("cpu", "cuda") if self.stages[f"install-{target}"].all("ARG") else ("cpu",)


def _logical_lines(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return joined.splitlines()
