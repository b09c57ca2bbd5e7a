"""compose.yaml: CPU by default, the GPU by profile, one volume of models, an Immich that finds the router."""

import re
from typing import Any

import pytest
import yaml

from mesh.core.privacy import NO_REPORTS
from tests.containers.dockerfile import ROOT, SERVICES, Dockerfile

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if "build" in one}


def without_defaults(text: str) -> str:
    """What compose makes of `${NAME:-default}` where nothing is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_the_cpu_is_the_default() -> None:
    always = {name for name, one in COMPOSE["services"].items() if not one.get("profiles")}
    assert always == {"router", "router-2", *SERVICES}
    for name in SERVICES:
        assert without_defaults(str(COMPOSE["services"][name]["deploy"]["replicas"])) == "1"


@pytest.mark.parametrize("service", SERVICES)
def test_the_gpu_has_its_profile_variant_and_card(service: str) -> None:
    found = COMPOSE["services"][f"{service}-cuda"]
    assert found["profiles"] == ["cuda"]
    assert found["build"]["args"] == {"VARIANT": "cuda"}
    assert found["environment"]["MESH_DEVICE"] == "cuda"
    (card,) = found["deploy"]["resources"]["reservations"]["devices"]
    assert (card["driver"], card["capabilities"]) == ("nvidia", ["gpu"])
    assert found["networks"]["default"]["aliases"] == [service]


@pytest.mark.parametrize("router", ["router", "router-2"])
def test_routers_and_services_are_told_of_the_same_models(router: str) -> None:
    for name in ("OCR", "CLIP"):
        served = OURS[name.lower()]["environment"][f"{name}_MODEL_NAME"]
        assert OURS[router]["environment"][f"ROUTER_{name}_MODEL"] == served


@pytest.mark.parametrize("name", OURS)
def test_a_container_is_built_from_its_target_and_locked_down(name: str) -> None:
    found = OURS[name]
    target = found["build"]["target"]
    assert target in Dockerfile().stages
    assert without_defaults(found["image"]).startswith(f"ghcr.io/immich-mesh/immich-mesh-{target}:0.1.0")
    assert found["read_only"] is True
    assert found["tmpfs"] == ["/tmp"]
    assert found["cap_drop"] == ["ALL"]
    if target != "router":
        assert found["volumes"] == ["models:/models"]
        assert Dockerfile().environment(target)["MESH_CACHE_FOLDER"] == "/models"


@pytest.mark.parametrize("name", OURS)
def test_any_setting_may_stand_in_mesh_env_and_the_file_may_be_missing(name: str) -> None:
    assert OURS[name]["env_file"] == [{"path": "mesh.env", "required": False}]


@pytest.mark.parametrize("name", OURS)
def test_no_library_in_a_container_reports_to_its_maker(name: str) -> None:
    assert OURS[name]["environment"].items() >= NO_REPORTS.items()


@pytest.mark.parametrize("router", ["router", "router-2"])
def test_a_router_reaches_every_service_by_name_and_port(router: str) -> None:
    given = OURS[router]["environment"]
    for name, port in (("ocr", 50051), ("clip", 50052), ("face", 50053)):
        assert given[f"ROUTER_{name.upper()}_ENDPOINTS"] == f"dns:///{name}:{port}"
        assert str(port) in Dockerfile().last(name, "EXPOSE").split()


def test_immich_finds_the_router() -> None:
    immich = COMPOSE["services"]["immich-server"]
    assert immich["environment"]["IMMICH_MACHINE_LEARNING_URL"] == "http://router:3003"
    assert {name for name, one in COMPOSE["services"].items() if one.get("profiles") == ["immich"]} == {
        "immich-server",
        "immich-redis",
        "immich-database",
    }
    assert "3003" in Dockerfile().last("router", "EXPOSE").split()


def test_the_second_router_is_immichs_second_url_and_nothing_else() -> None:
    second = OURS["router-2"]
    assert [without_defaults(port) for port in second["ports"]] == ["3004:3003"]
    assert second["environment"]["IMMICH_URL"] == second["environment"]["MT_PHOTOS_API_KEY"] == ""


def test_published_ports_do_not_collide() -> None:
    published = [
        without_defaults(port).split(":")[0] for one in COMPOSE["services"].values() for port in one.get("ports", ())
    ]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", ["immich-redis", "immich-database"])
def test_what_others_wait_for_has_a_health_check(name: str) -> None:
    assert COMPOSE["services"][name]["healthcheck"]["test"]


def test_the_command_finds_the_mesh() -> None:
    """`docker compose run --rm mesh doctor`: the names that it asks are those of services, which answer to them."""
    given = COMPOSE["services"]["mesh"]["environment"]
    assert COMPOSE["services"]["mesh"]["profiles"] == ["tools"]
    assert given["IMMICH_MESH_ADMIN_URL"] == "http://router:9901"
    router = COMPOSE["services"]["router"]
    assert router["environment"]["ROUTER_LISTENERS__ADMIN__NAMES"] == "router"
    assert router["environment"]["ROUTER_LISTENERS__ADMIN__HOST"] == "0.0.0.0"
    assert [port for port in router["ports"] if port.endswith(":9901")] == ["127.0.0.1:${MESH_ADMIN_PORT:-9901}:9901"]
    assert "9901" not in str(COMPOSE["services"]["router-2"]["ports"])


@pytest.mark.parametrize("name", [name for name in OURS if name != "mesh"])
def test_our_images_bring_their_health_check(name: str) -> None:
    assert Dockerfile().command(OURS[name]["build"]["target"], "HEALTHCHECK")[2] == "mesh.core.healthcheck"


def test_every_setting_is_read_by_somebody() -> None:
    from clip_service.config import ClipSettings
    from face_service.config import FaceSettings
    from mesh.core.settings.unknown import ELSEWHERE, known_names
    from ocr_service.config import OcrSettings
    from router.config import RouterSettings

    known = {"DB_URL", "LANG", *NO_REPORTS, *ELSEWHERE}
    for settings in (ClipSettings, FaceSettings, OcrSettings, RouterSettings):
        known |= known_names(settings)[0]
    given = {name for one in OURS.values() for name in one["environment"]}
    assert given <= known


def test_the_grace_period_covers_the_drain() -> None:
    from ocr_service.config import OcrSettings

    drain = OcrSettings.model_fields["drain_seconds"].default
    for one in OURS.values():
        assert int(one["stop_grace_period"].removesuffix("s")) > drain
