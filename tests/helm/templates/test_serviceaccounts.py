"""templates/serviceaccounts.yaml"""

from tests.helm.conftest import Render


def test_every_component_has_an_account_without_rights(render: Render) -> None:
    release = render()
    accounts = release.all("ServiceAccount")
    assert len(accounts) == 5
    assert all(one["automountServiceAccountToken"] is False for one in accounts)
    for deployment in release.all("Deployment"):
        assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == deployment["metadata"]["name"]


def test_an_account_can_be_named_annotated_or_theirs(render: Render) -> None:
    release = render({
        "ocr": {"serviceAccount": {"name": "reader", "annotations": {"a": "b"}}},
        "router": {"serviceAccount": {"name": "asker"}},
        "clip": {"serviceAccount": {"create": False, "name": "theirs"}},
        "face": {"serviceAccount": {"create": False}},
    })  # fmt: skip
    assert release.find("ServiceAccount", "reader")["metadata"]["annotations"] == {"a": "b"}
    used = {
        one["metadata"]["name"].removeprefix("mesh-immich-mesh-"): one["spec"]["template"]["spec"]["serviceAccountName"]
        for one in release.all("Deployment")
    }
    assert used == {
        "router": "asker",
        "router-2": "mesh-immich-mesh-router-2",
        "ocr": "reader",
        "clip": "theirs",
        "face": "default",
    }
    assert len(release.all("ServiceAccount")) == 3
