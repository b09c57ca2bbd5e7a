"""Generates the Python code of `protos/` beside its source; `--check` proves that what is committed is current."""

import argparse
import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent / "protos"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def generate(destination: Path) -> None:
    """Writes messages, stubs and their type files for every .proto below `ROOT` into the same tree at `destination`."""
    bin_folder = Path(sys.executable).parent
    arguments = [
        "protoc",
        f"-I{ROOT}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={bin_folder / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={bin_folder / 'protoc-gen-mypy_grpc'}",
        f"--python_out={destination}",
        f"--grpc_python_out={destination}",
        f"--mypy_out=quiet:{destination}",
        f"--mypy_grpc_out=quiet:{destination}",
        *(str(path.relative_to(ROOT)) for path in sorted(ROOT.rglob("*.proto"))),
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed; its message is above")


def generated_files(folder: Path) -> set[Path]:
    """Every generated file below `folder`, relative to it."""
    return {path.relative_to(folder) for pattern in GENERATED for path in folder.rglob(pattern)}


def stale_files(fresh: Path) -> list[Path]:
    """Files that differ between the committed tree and a fresh generation, or stand on one side only."""
    ours, theirs = generated_files(ROOT), generated_files(fresh)
    changed = {path for path in ours & theirs if not filecmp.cmp(ROOT / path, fresh / path, shallow=False)}
    return sorted((ours ^ theirs) | changed)


def main() -> None:
    """Command line: generate, or check with exit code 1 when something is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the committed code is stale")
    if not parser.parse_args().check:
        generate(ROOT)
        return
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)
        generate(fresh)
        if stale := stale_files(fresh):
            raise SystemExit("stale generated code, run `make generate`: " + ", ".join(map(str, stale)))


if __name__ == "__main__":
    main()
