"""templates/serviceaccounts.yaml"""

from tests.helm.conftest import Render


def test_every_component_has_an_account_without_rights(render: Render) -> None:
    release = render()
    accounts = release.all("ServiceAccount")
    assert len(accounts) == 4
    assert all(one["automountServiceAccountToken"] is False for one in accounts)
    for deployment in release.all("Deployment"):
        assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == deployment["metadata"]["name"]


def test_an_account_can_be_named_annotated_or_theirs(render: Render) -> None:
    release = render({
        "ocr": {"serviceAccount": {"name": "reader", "annotations": {"a": "b"}}},
        "clip": {"serviceAccount": {"create": False, "name": "theirs"}},
        "face": {"serviceAccount": {"create": False}},
    })  # fmt: skip
    assert release.find("ServiceAccount", "reader")["metadata"]["annotations"] == {"a": "b"}
    used = {
        one["metadata"]["name"].rsplit("-", 1)[1]: one["spec"]["template"]["spec"]["serviceAccountName"]
        for one in release.all("Deployment")
    }
    assert used == {"router": "mesh-immich-mesh-router", "ocr": "reader", "clip": "theirs", "face": "default"}
    assert len(release.all("ServiceAccount")) == 2
