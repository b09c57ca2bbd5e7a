"""What every image promises: no root, no compiler, its version, a health check, signals handed on."""

import re
import shlex
import tomllib
from importlib.metadata import version
from itertools import pairwise

import pytest

from mesh.cli.doctor.parts import Parts
from mesh.core.privacy import NO_REPORTS
from tests.containers.dockerfile import ROOT, SERVICES, TARGETS, Dockerfile


@pytest.fixture(scope="module")
def dockerfile() -> Dockerfile:
    return Dockerfile()


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_without_root_behind_tini(target: str, dockerfile: Dockerfile) -> None:
    assert dockerfile.last(target, "USER") == "65532:65532"
    assert dockerfile.command(target, "ENTRYPOINT") == ["tini", "--"]


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "cli"])
def test_an_image_has_only_the_installed_environment_on_a_slim_base(target: str, dockerfile: Dockerfile) -> None:
    lineage = dockerfile.lineage(target)
    assert lineage[0].base == "${PYTHON_IMAGE}"
    assert dockerfile.arguments["PYTHON_IMAGE"].endswith("-slim-bookworm")
    copied = [argument for stage in lineage for argument in stage.all("COPY")]
    if target in SERVICES:
        # What all services have in common first, as one layer that they share.
        shared = "--from=install-serving /opt/immich-mesh /opt/immich-mesh"
        assert copied == [shared, f"--from=install-{target} /own/opt/immich-mesh /opt/immich-mesh"]
    else:
        assert copied == [f"--from=install-{target} /opt/immich-mesh /opt/immich-mesh"]
    commands = " ".join(argument for stage in lineage for argument in stage.all("RUN"))
    installed = re.findall(r"apt-get install ([^&]*)", commands)
    assert [words.split() for words in installed] == [["--yes", "--no-install-recommends", "tini"]]


def test_the_commands_image_begins_with_nothing(dockerfile: Dockerfile) -> None:
    (stage,) = dockerfile.lineage("cli")
    assert stage.base == "scratch"
    assert stage.all("COPY") == ["--from=cli-root /cli /"]
    assert stage.all("RUN") == []
    assert dockerfile.stages["cli-root"].all("COPY") == ["--from=install-cli /opt/immich-mesh /cli/opt/immich-mesh"]


@pytest.mark.parametrize("target", SERVICES)
def test_the_shared_layer_holds_the_runtimes_and_each_service_adds_to_it(target: str, dockerfile: Dockerfile) -> None:
    assert dockerfile.stages[f"install-{target}"].base == "install-serving"
    (run,) = dockerfile.stages["install-serving"].all("RUN")
    shared = [word for option, word in pairwise(shlex.split(run.partition("&&")[0])) if option == "--extra"]
    assert shared == ["serving", "otel", "openvino", "${VARIANT}"]
    assert set(shared[1:]) < set(dockerfile.extras(target, "${VARIANT}"))


@pytest.mark.parametrize("target", SERVICES)
def test_intels_gpu_has_its_driver_and_still_no_root(target: str, dockerfile: Dockerfile) -> None:
    lineage = dockerfile.lineage(target, GPU="intel")
    assert [stage.name for stage in lineage] == ["base", "base-intel", target]
    commands = " ".join(argument for stage in lineage for argument in stage.all("RUN"))
    installed = [words.split() for words in re.findall(r"apt-get install ([^&]*)", commands)]
    assert installed[1:] == [["--yes", "--no-install-recommends", "intel-opencl-icd"]]
    assert [user for stage in lineage for user in stage.all("USER")][-1] == "65532:65532"


@pytest.mark.parametrize("target", TARGETS)
def test_no_library_in_an_image_reports_to_its_maker(target: str, dockerfile: Dockerfile) -> None:
    assert dockerfile.environment(target).items() >= NO_REPORTS.items()


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_carries_its_version(target: str, dockerfile: Dockerfile) -> None:
    labels = " ".join(stage_label for stage in dockerfile.lineage(target) for stage_label in stage.all("LABEL"))
    assert 'org.opencontainers.image.version="${VERSION}"' in labels
    stage = dockerfile.lineage(target)[0]
    versions = [argument for argument in stage.all("ARG") if argument.startswith("VERSION=")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert versions == [f"VERSION={project['version']}"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_installation_is_locked_and_has_no_development_tools(target: str, dockerfile: Dockerfile) -> None:
    runs = [run for run in dockerfile.stages[f"install-{target}"].all("RUN") if run.startswith("uv sync")]
    # Dependencies, then the wheel of our code: otherwise the same, so that the second step installs one package.
    assert len(runs) == 2
    assert runs[0].replace("--no-install-project", "--no-editable") == runs[1]
    assert {"--locked", "--no-dev", "--no-editable"} <= set(dockerfile.sync_arguments(target))


@pytest.mark.parametrize("target", ["router", *SERVICES, "cli"])
def test_the_doctor_is_told_which_image_it_is_in(target: str, dockerfile: Dockerfile) -> None:
    assert dockerfile.environment(target)["MESH_IMAGE"] == target
    assert Parts.here(dockerfile.environment(target)).processes == (target,)


@pytest.mark.parametrize("target", SERVICES)
def test_a_service_is_called_by_the_name_of_its_target(target: str, dockerfile: Dockerfile) -> None:
    assert dockerfile.command(target, "CMD") == ["python", "-m", f"{target}_service"]
    assert target in dockerfile.extras(target)
    assert dockerfile.extras(target, "cuda")[-1] == "cuda"
    assert dockerfile.environment(target)[f"{target.upper()}_HOST"] == "0.0.0.0"


@pytest.mark.parametrize("target", TARGETS)
def test_what_lies_in_the_working_folder_is_not_imported(target: str, dockerfile: Dockerfile) -> None:
    """`python -m` would look there first; /tmp can be written to."""
    assert dockerfile.environment(target)["PYTHONSAFEPATH"] == "1"


@pytest.mark.parametrize("target", TARGETS)
def test_processes_that_stay_have_a_health_check(target: str, dockerfile: Dockerfile) -> None:
    if target in {"cli", "export"}:
        assert dockerfile.last(target, "HEALTHCHECK") == "NONE"
    else:
        assert dockerfile.command(target, "HEALTHCHECK")[:3] == ["python", "-m", "mesh.core.healthcheck"]


def test_only_the_exporter_has_torch(dockerfile: Dockerfile) -> None:
    assert [target for target in TARGETS if "export" in dockerfile.extras(target)] == ["export"]


def test_uv_is_the_one_that_the_project_uses(dockerfile: Dockerfile) -> None:
    assert dockerfile.arguments["UV_IMAGE"] == f"ghcr.io/astral-sh/uv:{version('uv')}"


def test_python_is_one_that_the_project_supports(dockerfile: Dockerfile) -> None:
    match = re.match(r"python:3\.(\d+)-", dockerfile.arguments["PYTHON_IMAGE"])
    assert match is not None
    assert 11 <= int(match[1]) <= 12


def test_the_build_context_is_what_the_wheel_is_made_of() -> None:
    """Nothing else is sent to the builder, and nothing that the wheel needs is left out."""
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {package.split("/")[0] for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    assert kept == packages | {"LICENSE", "README.md", "pyproject.toml", "uv.lock"}
