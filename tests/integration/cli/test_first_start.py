"""The first start on a connected machine: models are downloaded and converted while requests for them are held."""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mesh.cli.clients.router_client import RouterClient
from tests.builders.faces import write_faces
from tests.builders.hub import fake_hub
from tests.integration.cli.conftest import call, running
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

CN_CLIP = Path(__file__).parents[1] / "hub/data/pair-dynamo"


def files_of(folder: Path) -> dict[str, bytes]:
    """A repository's content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_models_come_by_themselves_and_nobody_who_asks_meanwhile_is_sent_away(tmp_path: Path, photo: Path) -> None:
    faces = files_of(write_faces(tmp_path / "published"))
    (tmp_path / "cache/facial-recognition").mkdir(parents=True)  # so that nothing is put there beforehand
    gate = threading.Event()
    with fake_hub({"eisneim/cn-clip_vit-b-16": files_of(CN_CLIP), "immich-app/antelopev2": faces}) as hub:
        hub.behave("recognition/model.onnx").gate = gate
        connected = {"MESH_OFFLINE": "false", "HF_ENDPOINT": hub.endpoint, "FACE_MODEL_NAME": "antelopev2"}
        with running(tmp_path, "--without", "ocr", clip=False, settings=connected) as up, ThreadPoolExecutor() as pool:
            up.wait_for(r"mesh +\| face: downloading antelopev2 \(\d+%\)")
            client = RouterClient(up.url, timeout_seconds=PATIENCE_SECONDS)
            asked = pool.submit(client.detect, photo.read_bytes(), "antelopev2", None)
            up.wait_until(lambda: held(up.admin("/clusters")), "the request in the router's hands")
            assert not asked.done()
            gate.set()
            assert len(asked.result().faces) == 2
            client.close()

            # Search by Chinese-CLIP with no step but the start: fetched, converted, answered. (This small one knows the
            # beginning of the vocabulary alone.)
            up.wait_for(r"mesh +\| clip: ready: ViT-B-16__cn-clip")
            address = f"127.0.0.1:{up.ports['CLIP_PORT']}"
            called = call(up, "text", "1 + 2 ?", "--json", "--grpc", "--address", address)
            assert called.returncode == 0, called.stderr
            assert len(json.loads(called.stdout)["embedding"]) == 8


def held(clusters: dict[str, list[dict[str, dict[str, int]]]]) -> bool:
    """Whether a photo waits in the router, or at the service."""
    return any(cluster["held"]["image"] or cluster["active"]["image"] for cluster in clusters["clusters"])
