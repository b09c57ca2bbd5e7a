"""These tests need torch and cn-clip; `make test-export` has them in a virtual environment of their own."""

from importlib.util import find_spec
from pathlib import Path

import pytest

_NEEDED = ("torch", "cn_clip", "onnxscript", "onnxruntime")
_LACKING = [name for name in _NEEDED if find_spec(name) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.export)
            item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Says what is missing instead of failing at the import of a test module."""
    if _LACKING and Path(__file__).parent in module_path.parents:
        return _Skipped.from_parent(parent, path=module_path)
    return None


class _Skipped(pytest.Module):
    def collect(self) -> list[pytest.Item]:
        raise pytest.skip.Exception(f"not installed: {', '.join(_LACKING)} (make test-export)", allow_module_level=True)
