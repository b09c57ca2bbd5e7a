"""Converts downloaded files into Immich's layout: `mesh.hub.clip_import`, in a process of its own."""

import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import structlog

from mesh.core.errors import UnavailableError
from mesh.hub.entry import Adapter
from mesh.hub.fetch.problems import SourceError
from mesh.hub.fetch.progress import FetchStage, ProgressReport

log = structlog.get_logger()

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Converter:
    """Runs adapters until `stop` is set."""

    stop: threading.Event

    def convert(self, adapter: Adapter | None, files: Path, ready: Path, report: ProgressReport) -> Path:
        """Converts what was downloaded, in a process of its own, whose memory is gone with it. Raises SourceError."""
        if adapter is None:
            return files
        report.stage(FetchStage.ADAPTING)
        if find_spec("onnx") is None:
            raise UnavailableError(
                f"{files} cannot be converted: Python package onnx is not installed here (extra `clip`); "
                "pull the model where the CLIP service is installed"
            )
        shutil.rmtree(ready, ignore_errors=True)
        command = [sys.executable, "-P", "-m", "mesh.hub.clip_import", adapter.value, str(files), str(ready)]
        code, remarks, complaint = self._run(command, report)
        if code != 0:
            reason = complaint.strip().splitlines()[-1:] or [f"exit code {code}"]
            raise SourceError(f"the files in {files} cannot be converted: {reason[0]}")
        if remarks.strip():
            log.info("model converted with remarks", remarks=remarks.strip().splitlines())
        return ready

    def _run(self, command: list[str], report: ProgressReport) -> tuple[int, str, str]:
        """Exit code, output and errors of a command; it ends when we are to stop."""
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:  # noqa: S603 - our own module
            while True:
                try:
                    output, errors = process.communicate(timeout=_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    if self.stop.is_set():
                        process.kill()
                        raise UnavailableError(f"the conversion of {report.model} was stopped") from None
                else:
                    return process.returncode, output, errors
