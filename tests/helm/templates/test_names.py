"""templates/_names.tpl: names and labels of all objects."""

import pytest

from tests.helm.conftest import Render
from tests.helm.odd_values import EVERYTHING


@pytest.mark.parametrize(
    ("release", "values", "start"),
    [
        ("mesh", {}, "mesh-immich-mesh"),
        ("immich-mesh", {}, "immich-mesh"),
        ("mesh", {"nameOverride": "ml"}, "mesh-ml"),
        ("mesh", {"fullnameOverride": "ml"}, "ml"),
        ("a-release-with-a-name-that-is-rather-long-i-say", {}, "a-release-with-a-name-that-is-rather-lon"),
    ],
)
def test_names_start_alike(release: str, values: dict[str, str], start: str, render: Render) -> None:
    found = [one for one in render(values, release).manifests if one["kind"] == "Deployment"]
    assert {one["metadata"]["name"] for one in found} == {
        f"{start}-{name}" for name in ("router", "router-2", "ocr", "clip", "face")
    }


def test_every_object_carries_the_labels(render: Render) -> None:
    for one in render(EVERYTHING).manifests:
        if one["metadata"]["name"] == "mesh-extra":  # the user's own
            continue
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "immich-mesh"
        assert labels["app.kubernetes.io/instance"] == "mesh"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"] == "immich-mesh-0.1.0"
        assert labels["team"] == "photos", one["kind"]
