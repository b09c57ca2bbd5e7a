"""The files that join an Immich's own compose file, merged by a compose implementation: what then runs, and where."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh.core.privacy import NO_REPORTS
from tests.containers.dockerfile import ROOT, SERVICES, Dockerfile

IMMICH = Path(__file__).parent / "immich"
OURS = ("mesh-database", "mesh", "router", "router-2", "door", *SERVICES)


class Host:
    """A folder with Immich's compose file and `.env`, beside which ours were put."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = ["docker-compose.yml", "immich.override.yaml"]
        shutil.copy(IMMICH / "docker-compose.yml", folder)
        shutil.copy(IMMICH / "example.env", folder / ".env")
        for path in (ROOT / "immich.override.yaml", *(ROOT / "docker").glob("gpu.*.yaml")):
            shutil.copy(path, folder)
        podman = folder / "programs/podman"  # asked for its version alone: nothing is started
        podman.parent.mkdir()
        podman.write_text("#!/bin/sh\necho podman version 5.4.0\n")
        podman.chmod(0o755)

    def set(self, **settings: str) -> None:
        """Lines at the end of `.env`."""
        with (self.folder / ".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in settings.items())

    def config(self) -> "subprocess.CompletedProcess[str]":
        """What compose makes of `.env` and the files; this one takes their names from the environment alone."""
        program = Path(sys.executable).with_name("podman-compose")
        path = f"{self.folder / 'programs'}:{os.environ['PATH']}"
        return subprocess.run(
            [program, "--profile", "tools", "config"],
            cwd=self.folder,
            env={"PATH": path, "HOME": str(self.folder), "COMPOSE_FILE": ":".join(self.files)},
            capture_output=True,
            text=True,
            check=False,
        )

    def merged(self) -> dict[str, Any]:
        """The services as they then are."""
        done = self.config()
        assert done.returncode == 0, done.stderr
        services: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
        return services


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_door_is_where_immich_was_and_admin_is_the_hosts_alone(host: Host) -> None:
    services = host.merged()
    assert services["immich-server"]["ports"] == []
    published = {name: one["ports"] for name, one in services.items() if one.get("ports")}
    assert published == {"door": ["2283:2283", "127.0.0.1:9901:9901"]}
    assert services["door"]["environment"]["IMMICH_URL"] == "http://immich-server:2283"
    assert "2283" in Dockerfile().last("router", "EXPOSE").split()


def test_immich_asks_the_mesh_under_the_address_it_has(host: Host) -> None:
    services = host.merged()
    assert services["immich-machine-learning"]["deploy"]["replicas"] == 0
    having = [name for name, one in services.items() if "immich-machine-learning" in aliases(one)]
    assert having == ["router"]


def aliases(service: dict[str, Any]) -> list[str]:
    networks = service.get("networks")
    return networks["default"]["aliases"] if isinstance(networks, dict) else []


@pytest.mark.parametrize("name", ["door", "mesh-database"])
def test_immichs_own_env_gives_the_database(host: Host, name: str) -> None:
    host.set(DB_PASSWORD="another")
    given = host.merged()[name]["environment"]
    assert given["DB_HOSTNAME"] == "database"
    assert (given["DB_USERNAME"], given["DB_PASSWORD"], given["DB_DATABASE_NAME"]) == ("postgres", "another", "immich")


def test_a_password_that_is_not_there_is_told_before_anything_starts(host: Host) -> None:
    env = host.folder / ".env"
    env.write_text(env.read_text().replace("DB_PASSWORD=", "WITHOUT="))
    done = host.config()
    assert done.returncode != 0
    assert "stands in the .env of Immich" in done.stderr + done.stdout


def test_the_schema_is_made_once_and_after_immichs_own_tables(host: Host) -> None:
    job = host.merged()["mesh-database"]
    assert job["command"][-1] == "immich-mesh db migrate && immich-mesh db backfill"
    assert job["depends_on"] == {"immich-server": {"condition": "service_healthy"}}
    assert job["restart"] == "on-failure"


def test_the_command_finds_the_mesh(host: Host) -> None:
    """`docker compose run --rm mesh doctor`: the names that it asks are those of services, which answer to them."""
    services = host.merged()
    command = services["mesh"]
    assert command["profiles"] == ["tools"]
    assert command["entrypoint"][-1] == "immich-mesh"
    assert command["environment"]["IMMICH_MESH_ADMIN_URL"] == "http://door:9901"
    assert services["door"]["environment"]["ROUTER_LISTENERS__ADMIN__NAMES"] == "door"
    urls = services["door"]["environment"]["ROUTER_LISTENERS__IMMICH_ML__URLS"]
    assert urls.split(",") == ["http://immich-machine-learning:3003", "http://router-2:3003"]
    assert command["environment"]["IMMICH_MESH_PHOTOS_URL"] == "http://door:2283"
    assert command["environment"]["IMMICH_MESH_URL"] == "http://router:3003"


@pytest.mark.parametrize("router", ["router", "router-2", "door"])
def test_routers_and_services_are_told_of_the_same_models(host: Host, router: str) -> None:
    host.set(OCR_MODEL_NAME="KOREAN__PP-OCRv5_mobile", CLIP_MODEL_NAME="ViT-L-14__cn-clip")
    services = host.merged()
    for name in ("OCR", "CLIP"):
        served = services[name.lower()]["environment"][f"{name}_MODEL_NAME"]
        assert services[router]["environment"][f"ROUTER_{name}_MODEL"] == served


@pytest.mark.parametrize("name", [*SERVICES, "mesh"])
def test_what_downloads_has_the_hubs_token(host: Host, name: str) -> None:
    host.set(HF_TOKEN="hf_example")
    assert host.merged()[name]["environment"]["HF_TOKEN"] == "hf_example"


@pytest.mark.parametrize("name", OURS)
def test_any_setting_may_stand_in_mesh_env_and_the_file_may_be_missing(host: Host, name: str) -> None:
    assert host.merged()[name]["env_file"] == [{"path": "mesh.env", "required": False}]


@pytest.mark.parametrize("name", OURS)
def test_ours_are_published_images_locked_down(host: Host, name: str) -> None:
    host.set(MESH_REGISTRY="registry.example/mirror")
    found = host.merged()[name]
    target = {"mesh-database": "cli", "mesh": "cli", "router-2": "router", "door": "router"}.get(name, name)
    assert target in Dockerfile().stages
    assert found["image"] == f"registry.example/mirror/immich-mesh-{target}:0.1.0"
    assert (found["read_only"], found["cap_drop"], found["tmpfs"]) == (True, ["ALL"], ["/tmp"])
    assert found["environment"].items() >= NO_REPORTS.items()


@pytest.mark.parametrize(
    ("file", "device", "suffix"), [("gpu.nvidia.yaml", "cuda", "-cuda"), ("gpu.intel.yaml", "openvino:GPU", "-intel")]
)
def test_a_gpu_is_one_more_file(host: Host, file: str, device: str, suffix: str) -> None:
    host.files.append(file)
    services = host.merged()
    for name in SERVICES:
        found = services[name]
        assert found["environment"]["MESH_DEVICE"] == device
        assert found["environment"]["HF_ENDPOINT"]
        assert found["image"].endswith(f"immich-mesh-{name}:0.1.0{suffix}")
        if device == "cuda":
            (card,) = found["deploy"]["resources"]["reservations"]["devices"]
            assert card["driver"] == "nvidia"
        else:
            assert found["devices"] == ["/dev/dri:/dev/dri"]


def test_the_example_names_settings_that_something_reads() -> None:
    """Commented lines of `.env.example`: each is read by a compose file, by make or by a process of ours."""
    from clip_service.config import ClipSettings
    from face_service.config import FaceSettings
    from mesh.core.settings.unknown import known_names
    from ocr_service.config import OcrSettings
    from router.config import RouterSettings

    names = [line[1:].split("=")[0] for line in (ROOT / ".env.example").read_text().splitlines() if line[1:2] != "#"]
    names = [name for name in names if name.isupper() and " " not in name]
    assert len(names) >= 8
    read = set().union(*(known_names(kind)[0] for kind in (ClipSettings, FaceSettings, OcrSettings, RouterSettings)))
    files = [ROOT / "Makefile", ROOT / "compose.yaml", ROOT / "immich.override.yaml"]
    texts = "".join(path.read_text() for path in files)
    unread = {name for name in names if name not in read and name not in texts}
    assert unread <= {"COMPOSE_FILE"}  # compose's own
