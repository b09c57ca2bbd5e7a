"""Names that look like settings and are none."""

import pytest

from clip_service.config import ClipSettings
from face_service.config import FaceSettings
from mesh.cli.machine.supervisor_settings import SupervisorSettings
from mesh.core.settings.unknown import NO_EFFECT, NO_EFFECT_GROUPS, known_names, unknown_settings
from ocr_service.config import OcrSettings
from router.config import RouterSettings

KINDS = (OcrSettings, ClipSettings, FaceSettings, RouterSettings, SupervisorSettings)


def advice(name: str) -> str:
    (found,) = unknown_settings({name: "a secret"}, KINDS)
    assert found.name == name
    assert "secret" not in str(found)
    return found.advice


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OCR_MODLE", "OCR_MODEL_NAME"),
        ("OCR_MODEL", "OCR_MODEL_NAME"),
        ("OCR_MODEL_NAMES", "OCR_MODEL_NAME"),
        ("FACE_MIN_SCORES", "FACE_MIN_SCORE"),
        ("MESH_THREADS", "OCR_THREADS or CLIP_THREADS or FACE_THREADS"),
        ("ROUTER_PORT", "ROUTER_LISTENERS__IMMICH_ML__PORT"),
        ("ROUTER_LISTENERS__IMMICH_ML__PROT", "ROUTER_LISTENERS__IMMICH_ML__PORT"),
        ("MESH_SECOND_ROUTER_PORTS", "MESH_SECOND_ROUTER_PORT"),
        ("IMMICH_URLS", "IMMICH_URL"),
    ],
)
def test_the_nearest_real_name_is_told(name: str, meant: str) -> None:
    assert advice(name) == f"is no setting: did you mean {meant}?"


@pytest.mark.parametrize(
    "name",
    [
        *("MACHINE_LEARNING_WORKERS", "MACHINE_LEARNING_WORKER_TIMEOUT", "MACHINE_LEARNING_REQUEST_THREADS"),
        *("MACHINE_LEARNING_MODEL_INTER_OP_THREADS", "MACHINE_LEARNING_MODEL_TTL_POLL_S"),
        *("MACHINE_LEARNING_ANN", "MACHINE_LEARNING_ANN_FP16_TURBO", "MACHINE_LEARNING_RKNN"),
        *("MACHINE_LEARNING_RKNN_THREADS", "MACHINE_LEARNING_PRELOAD__CLIP", "MT_PHOTOS_API"),
    ],
)
def test_what_has_no_meaning_here_is_told_with_the_reason(name: str) -> None:
    assert advice(name).startswith("has no effect here: ")


def test_nothing_is_called_without_effect_that_is_read() -> None:
    read = set().union(*(known_names(kind)[0] for kind in KINDS))
    assert not read & set(NO_EFFECT)
    assert not [name for name in read if name.startswith(tuple(NO_EFFECT_GROUPS))]


def test_nonsense_is_told_without_a_guess() -> None:
    assert advice("ROUTER_XYZZY_PLUGH") == "is no setting (docs/settings.md lists them)"


def test_every_name_that_is_read_is_known() -> None:
    for kind in KINDS:
        names, _ = known_names(kind)
        assert unknown_settings(dict.fromkeys(names, ""), KINDS) == []


@pytest.mark.parametrize(
    "name",
    [
        *("IMMICH_VERSION", "IMMICH_TRUSTED_PROXIES", "IMMICH_MACHINE_LEARNING_URL", "HOME", "DEVICE", "DB_URL"),
        *("ROUTER_CLUSTERS__MINE__BALANCER", "ROUTER_CLUSTERS", "ocr_model_name", "ROUTER_CONFIG"),
        *("OCR_SERVICE_HOST", "OCR_PORT_50051_TCP_ADDR", "CLIP_SERVICE_PORT_GRPC"),
    ],
)
def test_others_names_are_no_affair_of_ours(name: str) -> None:
    assert unknown_settings({name: ""}, KINDS) == []


def test_a_process_looks_at_its_own_prefix() -> None:
    given = {"OCR_MODLE": "", "CLIP_MODLE": ""}
    assert [found.name for found in unknown_settings(given, [OcrSettings], ("OCR_",))] == ["OCR_MODLE"]
