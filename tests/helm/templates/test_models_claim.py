"""templates/models-claim.yaml"""

from tests.helm.conftest import Render


def test_a_claim_is_made_before_the_job_that_fills_it(render: Render) -> None:
    values = {
        "storageClassName": "juicefs-sc",
        "accessModes": ["ReadWriteMany"],
        "size": "30Gi",
        "annotations": {"a": "b"},
    }
    release = render({"models": {"persistence": values}})
    claim = release.find("PersistentVolumeClaim", "mesh-immich-mesh-models")
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "juicefs-sc",
        "resources": {"requests": {"storage": "30Gi"}},
    }
    assert claim["metadata"]["annotations"]["a"] == "b"
    job = release.find("Job", "mesh-immich-mesh-models")
    weights = [int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in (claim, job)]
    assert weights[0] < weights[1]


def test_no_class_means_the_clusters_default(render: Render) -> None:
    assert "storageClassName" not in render().find("PersistentVolumeClaim", "mesh-immich-mesh-models")["spec"]


def test_nothing_is_claimed_that_is_not_used(render: Render) -> None:
    for models in ({"source": "emptyDir"}, {"source": "image"}, {"persistence": {"existingClaim": "theirs"}}):
        assert render({"models": models}).all("PersistentVolumeClaim") == []
