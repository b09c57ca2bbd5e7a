"""What others take of the machine is told from what is measured."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench import processes
from bench.processes import Processes, Quiet, free_port
from tests.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("busy", "mine", "share"), [(2.0, 2.0, 0.0), (3.0, 2.0, 0.125), (1.0, 2.0, 0.0), (8.0, 0.0, 1.0)]
)
def test_others_share(monkeypatch: pytest.MonkeyPatch, busy: float, mine: float, share: float) -> None:
    clock = iter([100.0, 102.0])
    busy_seconds = iter([50.0, 50.0 + busy])
    used = iter([5.0, 5.0 + mine])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(processes, "_busy_seconds", lambda: next(busy_seconds))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    assert Quiet(lambda: next(used)).others_share() == pytest.approx(share)


def test_free_port() -> None:
    assert 1024 <= free_port() <= 65535


def test_a_server_that_others_started_is_seen_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        seen = Processes.listening(url)
        assert seen is not None
        assert seen.usage().proportional_bytes.keys() == {str(os.getpid())}
    assert Processes.listening(url) is None


def test_children_do_not_outlive_a_killed_benchmark(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys, time\n"
        "from bench.processes import child\n"
        f"with child(['http.server', '0'], os.environ, pathlib.Path({str(tmp_path / 'log')!r})) as process:\n"
        "    print(process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as benchmark:
        assert benchmark.stdout is not None
        grandchild = psutil.Process(int(benchmark.stdout.readline()))
        benchmark.kill()
    with contextlib.suppress(psutil.NoSuchProcess):  # gone already; TimeoutExpired when it stays
        grandchild.wait(PATIENCE_SECONDS)
