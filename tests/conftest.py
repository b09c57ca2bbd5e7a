"""What all tests share: property-based tests that never judge how fast the machine is today, and logs put back."""

import logging
import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

import mesh  # noqa: F401 - before any library that would report to its maker, see mesh.core.privacy

# Services under test run in onnxruntime but where a test says otherwise: `auto` compares runtimes at every first load,
# for seconds on a busy machine. tests/unit/mesh/serving/runtimes holds that choice to account.
os.environ.setdefault("DEVICE", "cpu")
os.environ["LANGUAGE"] = "C"  # messages are compared in English, whatever the terminal's language

if find_spec("hypothesis"):  # the chart's environment is without
    from hypothesis import HealthCheck, settings

    settings.register_profile("mesh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("mesh")


@pytest.fixture
def restored_logs() -> Iterator[None]:
    """For tests of what configures the process's logs: afterwards they are as they were."""
    import structlog

    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
