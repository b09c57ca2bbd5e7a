"""Routes: which cluster, which model, and when the answer must be no."""

import random
from collections import Counter

import pytest

from mesh.core.errors import DimensionMismatchError
from mesh.hub.catalogue import Family, clip_names, find
from router.config import ClusterSettings, Protocol, RouterSettings, RouteSettings, WeightedCluster
from router.dispatch.routes import RouteTable
from router.domain.tasks import ClipTextual, ClipVisual, FaceRecognition, ForeignTask, TextRecognition
from router.errors import InvalidEntriesError

POSE = ForeignTask("pose", "whole", "p", b"{}")
EXTRA = ClusterSettings(endpoints=("x:1",))
NATIVE = ClusterSettings(protocol=Protocol.HTTP, endpoints=("http://x",))


def table(*routes: RouteSettings, **settings: object) -> RouteTable:
    return RouteTable(RouterSettings(routes=routes, **settings), random.Random(1))  # type: ignore[arg-type]


def test_by_default_every_clip_name_of_the_dimension_is_served_by_the_configured_model() -> None:
    routes = table()
    for name in clip_names(512):
        for task in (ClipVisual(name), ClipTextual(name)):
            found = routes.find(task)
            assert (found.cluster, found.served_model, found.asked_dimension) == ("clip", "ViT-B-16__cn-clip", 512)


def test_a_name_of_another_dimension_is_refused_with_those_that_would_do() -> None:
    with pytest.raises(DimensionMismatchError) as refusal:
        table().find(ClipVisual("ViT-L-14__openai"))
    assert "768" in refusal.value.message
    assert all(name in refusal.value.message for name in clip_names(512))


def test_a_name_that_nobody_knows_is_refused() -> None:
    with pytest.raises(DimensionMismatchError, match="not known here"):
        table().find(ClipVisual("ViT-Z-99__future"))


def test_a_route_that_names_an_unknown_model_is_believed() -> None:
    own = RouteSettings(task="clip", model="ViT-Z-99__future", cluster="clip", served_model="ViT-B-16__cn-clip")
    assert table(own).find(ClipVisual("ViT-Z-99__future")).served_model == "ViT-B-16__cn-clip"


def test_a_served_model_outside_of_the_catalogue_is_checked_by_its_answers() -> None:
    found = table(clip_model="my-own__model").find(ClipVisual("ViT-B-32__openai"))
    assert (found.served_dimension, found.asked_dimension) == (None, 512)


def test_faces_keep_their_name_and_ocr_takes_the_services_default() -> None:
    assert table().find(FaceRecognition("buffalo_s")).served_model == "buffalo_s"
    assert table().find(TextRecognition("PP-OCRv5_mobile")).served_model == ""


@pytest.mark.parametrize(
    "language", ["LATIN", "ESLAV", "CYRILLIC", "KOREAN", "TH", "EL", "ARABIC", "DEVANAGARI", "TA", "TE"]
)
def test_a_language_that_the_default_ocr_model_does_not_read_goes_to_its_own_recogniser(language: str) -> None:
    name = f"{language}__PP-OCRv5_mobile"
    assert find(Family.OCR, name) is not None
    assert table().find(TextRecognition(name)).served_model == name
    everything = RouteSettings(task="ocr", cluster="ocr", served_model="PP-OCRv6_small")
    assert table(everything).find(TextRecognition(name)).served_model == "PP-OCRv6_small"


@pytest.mark.parametrize(
    "name",
    [
        "PP-OCRv5_server",
        "CH__PP-OCRv5_mobile",
        "EN__PP-OCRv5_mobile",
        "PP-OCRv6_tiny",
        "PP-OCRv6_small",
        "PP-OCRv6_medium",
        "ocr",
    ],
)
def test_the_default_ocr_model_answers_for_every_name_whose_languages_it_reads(name: str) -> None:
    assert table().find(TextRecognition(name)).served_model == ""


def test_a_language_that_nobody_knows_is_left_to_the_service_to_refuse() -> None:
    assert table().find(TextRecognition("HE__PP-OCRv9_mobile")).served_model == "HE__PP-OCRv9_mobile"


def test_an_ocr_model_of_ones_own_answers_for_no_language_that_it_is_not_known_to_read() -> None:
    own = table(ocr_model="my-own")
    assert own.find(TextRecognition("PP-OCRv5_mobile")).served_model == ""
    assert own.find(TextRecognition("EN__PP-OCRv5_mobile")).served_model == "EN__PP-OCRv5_mobile"


def test_the_first_route_that_fits_decides() -> None:
    own = RouteSettings(task="ocr", model="PP-OCRv4*", cluster="extra", served_model=None)
    routes = table(own, clusters={"extra": EXTRA})
    assert (routes.find(TextRecognition("PP-OCRv4_mobile")).cluster, routes.find(TextRecognition("x")).cluster) == (
        "extra",
        "ocr",
    )
    assert routes.find(TextRecognition("PP-OCRv4_mobile")).served_model == "PP-OCRv4_mobile"


def test_weights_split_the_requests() -> None:
    canary = (WeightedCluster(cluster="ocr", weight=95), WeightedCluster(cluster="extra", weight=5))
    routes = table(RouteSettings(task="ocr", clusters=canary), clusters={"extra": EXTRA})
    counted = Counter(routes.find(TextRecognition("x")).cluster for _ in range(4000))
    assert 120 < counted["extra"] < 280


def test_unknown_tasks_go_to_a_native_server_or_nowhere() -> None:
    with pytest.raises(InvalidEntriesError, match=r"entries\.pose\.whole: nobody serves this task.*ROUTER_IMMICH_API"):
        table().find(POSE)
    assert table(immich_api="http://immich:3003").find(POSE).cluster == "immich"


def test_what_the_mesh_does_not_serve_is_refused_at_once_or_goes_to_a_native_server() -> None:
    with pytest.raises(InvalidEntriesError, match=r"nobody serves this task; the mesh answers clip \S+ \S+, facial"):
        table(ocr_endpoints=()).find(TextRecognition("x"))
    assert table(ocr_endpoints=(), immich_api="http://immich:3003").find(TextRecognition("x")).cluster == "immich"


def test_chosen_models_go_to_a_native_server() -> None:
    own = RouteSettings(task="clip", model="XLM-*", cluster="native")
    found = table(own, clusters={"native": NATIVE}).find(ClipVisual("XLM-Roberta-Large-Vit-L-14"))
    assert (found.cluster, found.served_model) == ("native", "XLM-Roberta-Large-Vit-L-14")


def test_the_last_resort_never_mixes_vectors_of_different_models() -> None:
    routes = table(immich_api="http://immich:3003")
    assert routes.find(TextRecognition("x")).fallback == "immich"
    assert routes.find(FaceRecognition("buffalo_l")).fallback == "immich"
    assert routes.find(ClipVisual("ViT-B-32__openai")).fallback == ""
    assert routes.find(ClipVisual("ViT-B-16__cn-clip")).fallback == "immich"
