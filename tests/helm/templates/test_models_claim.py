"""templates/models-claim.yaml"""

from tests.helm.conftest import Render


def test_a_claim_is_an_ordinary_object_that_stays(render: Render) -> None:
    values = {
        "storageClassName": "juicefs-sc",
        "accessModes": ["ReadWriteMany"],
        "size": "30Gi",
        "annotations": {"a": "b"},
    }
    release = render({"models": {"persistence": values}, "commonAnnotations": {"owner": "photos"}})
    claim = release.find("PersistentVolumeClaim", "mesh-immich-mesh-models")
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "juicefs-sc",
        "resources": {"requests": {"storage": "30Gi"}},
    }
    assert claim["metadata"]["annotations"] == {"a": "b", "owner": "photos", "helm.sh/resource-policy": "keep"}
    assert claim in release.manifests


def test_nothing_that_an_installation_waits_for_is_a_hook(render: Render) -> None:
    """A hook's pod would wait for a volume that waits for its first consumer, which comes after the hooks."""
    release = render({"models": {"persistence": {"accessModes": ["ReadWriteMany"]}}})
    assert {one["metadata"]["annotations"]["helm.sh/hook"] for one in release.hooks} == {"test"}


def test_no_class_means_the_clusters_default(render: Render) -> None:
    assert "storageClassName" not in render().find("PersistentVolumeClaim", "mesh-immich-mesh-models")["spec"]


def test_nothing_is_claimed_that_is_not_used(render: Render) -> None:
    for models in ({"source": "emptyDir"}, {"source": "image"}, {"persistence": {"existingClaim": "theirs"}}):
        assert render({"models": models}).all("PersistentVolumeClaim") == []
