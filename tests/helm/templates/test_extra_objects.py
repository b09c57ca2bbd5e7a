"""templates/extra-objects.yaml"""

from tests.helm.conftest import Render


def test_objects_are_rendered_as_templates(render: Render) -> None:
    extra = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-x"},
        "data": {"a": "{{ 1 }}"},
    }
    assert render({"extraObjects": [extra]}).find("ConfigMap", "mesh-x")["data"] == {"a": "1"}
