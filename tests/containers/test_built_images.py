"""The images themselves, built by buildah: their size, what is in them, and that they answer, read-only, as nobody.

Needs buildah and two images that it has or can fetch, which stand for the Dockerfile's own:

    make test-images PYTHON_IMAGE=localhost/python:3.12-slim UV_IMAGE=localhost/uv
"""

import io
import json
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from immich_mesh.clip.v1 import clip_pb2, clip_pb2_grpc
from immich_mesh.face.v1 import face_pb2, face_pb2_grpc
from immich_mesh.ocr.v1 import ocr_pb2, ocr_pb2_grpc
from PIL import Image as Picture

from tests.builders import CLIP_DIMENSION, marker_photo, write_clip, write_faces
from tests.containers.dockerfile import ROOT, SERVICES, Dockerfile
from tests.waiting import wait_until

PYTHON_IMAGE, UV_IMAGE = os.environ.get("MESH_TEST_PYTHON_IMAGE", ""), os.environ.get("MESH_TEST_UV_IMAGE", "")
DOCKERFILE = Dockerfile()
USER = 65532

BUILT = ("cli", "router", *SERVICES)
LARGEST_MB = {"cli": 150, "router": 400, "ocr": 1050, "clip": 1050, "face": 1050}
"""On the slim Python image, which is 125 MB; what stands for it may be 50 MB larger."""


def missing() -> str:
    """What the tests below need and do not find; empty when all is there."""
    lacking = [program for program in ("buildah", "unshare", "chroot") if shutil.which(program) is None]
    if lacking:
        return f"needs {', '.join(lacking)} (Debian: apt-get install -y buildah util-linux)"
    if os.geteuid() != 0:
        return "needs root: images are mounted, and run as another user"
    if not PYTHON_IMAGE or not UV_IMAGE:
        return "needs base images: make test-images PYTHON_IMAGE=... UV_IMAGE=..."
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def buildah(*words: str) -> str:
    done = subprocess.run(["buildah", *words], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.strip()


MODELS: Mapping[str, Callable[[Path], Path]] = {"clip": write_clip, "face": write_faces}
"""What writes small models into the volume of a service that has none in its image."""


@dataclass(frozen=True)
class Image:
    """A built image, mounted."""

    target: str
    name: str
    root: Path

    @property
    def megabytes(self) -> float:
        """Of all its layers, as they lie on a disk."""
        done = subprocess.run(
            ["du", "--summarize", "--bytes", "--one-file-system", self.root], capture_output=True, check=True
        )
        return int(done.stdout.split()[0]) / 1e6

    @contextmanager
    def running(self, *words: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
        """A container's process: this root read-only but for /tmp and /models, no rights, its own processes."""
        with tempfile.TemporaryDirectory() as folder:
            models = Path(folder) / "models"
            models.mkdir()
            if self.target in MODELS:
                MODELS[self.target](models)
            for path in (models, *models.rglob("*")):
                os.chown(path, USER, USER)
            script = f"""
                set -e
                mount --make-rprivate /
                mount --bind {self.root} {self.root}
                mount -o remount,bind,ro {self.root}
                mount -t tmpfs tmpfs {self.root}/tmp
                mount --bind {models} {self.root}/models
                mount -t proc proc {self.root}/proc
                mount --rbind /dev {self.root}/dev
                exec chroot --userspec={USER}:{USER} --groups= {self.root} "$@"
            """
            given = DOCKERFILE.environment(self.target) | {"PATH": self.path} | environment
            command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh"]
            process = subprocess.Popen(
                [*command, "env", "-i", *(f"{name}={value}" for name, value in given.items()), *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    @property
    def path(self) -> str:
        """Its PATH; that of the base image is not the Dockerfile's."""
        return "/opt/immich-mesh/bin:/usr/local/bin:/usr/bin:/bin"

    def run(self, *words: str, **environment: str) -> tuple[int, str]:
        """A command's exit code and output."""
        with self.running(*words, **environment) as process:
            output, _ = process.communicate(timeout=600)
            return process.returncode, output


def build(target: str) -> str:
    """The image's name."""
    name = f"localhost/immich-mesh-{target}:test"
    given = {"PYTHON_IMAGE": PYTHON_IMAGE, "UV_IMAGE": UV_IMAGE, "GPU": "none"}
    arguments = [word for argument in given.items() for word in ("--build-arg", "=".join(argument))]
    buildah("build", "--isolation", "chroot", "--layers", "--quiet", "--target", target, *arguments, "-t", name, ".")
    return name


@pytest.fixture(scope="module", params=BUILT)
def image(request: pytest.FixtureRequest) -> Iterator[Image]:
    target: str = request.param
    name = build(target)
    container = buildah("from", "--pull=false", name)
    try:
        yield Image(target, name, Path(buildah("mount", container)))
    finally:
        buildah("rm", container)


def test_an_image_is_no_larger_than_it_must_be(image: Image) -> None:
    print(f"{image.target}: {image.megabytes:.0f} MB")
    assert image.megabytes <= LARGEST_MB[image.target]


def test_an_image_holds_no_installer_no_compiler_and_no_more_runtimes_than_one(image: Image) -> None:
    programs = {
        path.name
        for place in ("opt/immich-mesh/bin", "usr/local/bin", "usr/bin")
        for path in (image.root / place).glob("*")
    }
    assert not programs & {"uv", "gcc", "cc", "make", "git"}
    (packages,) = (image.root / "opt" / "immich-mesh" / "lib").glob("python3.*/site-packages")
    runtimes = [path.name for path in packages.glob("onnxruntime*.dist-info")]
    assert len(runtimes) == (1 if image.target in SERVICES else 0)
    assert not [path.name for path in packages.glob("torch*")]
    assert not list((image.root / "usr" / "local" / "lib").glob("python3.*/site-packages/pip"))


def test_an_image_runs_as_nobody_behind_tini(image: Image) -> None:
    config = json.loads(buildah("inspect", "--type", "image", image.name))["OCIv1"]["config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["tini", "--"]
    code, output = image.run("tini", "--", "python", "-c", "import os; print(os.getuid()); open('/here', 'w')")
    assert code == 1
    assert output.startswith(f"{USER}\n")
    assert "Read-only file system" in output


def test_the_command_and_its_doctor_run(image: Image) -> None:
    assert image.run("tini", "--", "immich-mesh", "--version")[0] == 0
    _, output = image.run("immich-mesh", "doctor", "--json", MESH_OFFLINE="true")
    told = next(line for line in output.splitlines() if line.startswith("[{"))  # beside what onnxruntime remarks
    found = {one["subject"]: one for one in json.loads(told)}
    assert found["imports"]["verdict"] == "good", found
    assert found["settings"]["text"] == f"of {image.target} are valid"


def test_a_module_finds_every_library_of_the_system(image: Image) -> None:
    modules = "ssl, sqlite3, lzma, bz2, zlib, ctypes, uuid, hashlib, multiprocessing, zoneinfo, encodings.idna"
    assert image.run("python", "-c", f"import {modules}") == (0, "")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_router_answers_and_the_service_reads(image: Image) -> None:
    port = free_port()
    if image.target == "router":
        environment = {
            "ROUTER_LISTENERS__IMMICH_ML__PORT": str(free_port()),
            "ROUTER_LISTENERS__ADMIN__PORT": str(port),
        }
        environment |= {"ROUTER_LISTENERS__IMMICH_ML__HOST": "127.0.0.1", "ROUTER_METRICS_PORT": str(free_port())}
    elif image.target in SERVICES:
        settings = {"HOST": "127.0.0.1", "PORT": str(port), "METRICS_PORT": str(free_port()), "THREADS": "1"}
        environment = {f"{image.target.upper()}_{name}": value for name, value in settings.items()}
        environment |= {"MESH_OFFLINE": "true", "MESH_DEVICE": "cpu"}
    else:
        assert image.run("immich-mesh", "db", "migrate", "--help")[0] == 0
        return
    with image.running("tini", "--", *DOCKERFILE.command(image.target, "CMD"), **environment) as process:
        wait_until(lambda: answers(image.target, port), alive=lambda: process.poll() is None)


def answers(target: str, port: int) -> bool:
    """Whether the process is up, and what it says is right."""
    if target == "router":
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/info", timeout=5) as response:
                return bool(json.load(response)["version"])
        except OSError:
            return False
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            RIGHT[target](channel)
        except grpc.RpcError:
            return False
    return True


def reads_text(channel: grpc.Channel) -> None:
    stub: ocr_pb2_grpc.OcrServiceStub = ocr_pb2_grpc.OcrServiceStub(channel)
    reply = stub.Recognize(ocr_pb2.RecognizeRequest(image=PHOTO), timeout=60)
    assert [line.text for line in reply.lines] == ["IMMICH MESH 2026"]


def embeds_a_photo(channel: grpc.Channel) -> None:
    stub: clip_pb2_grpc.ClipServiceStub = clip_pb2_grpc.ClipServiceStub(channel)
    reply = stub.EncodeImage(clip_pb2.EncodeImageRequest(image=PHOTO), timeout=60)
    assert len(reply.embedding) == CLIP_DIMENSION
    assert sum(number * number for number in reply.embedding) == pytest.approx(1, abs=1e-3)


def finds_a_face(channel: grpc.Channel) -> None:
    box, photo = (60, 40, 180, 160), io.BytesIO()
    Picture.fromarray(marker_photo(320, 240, {"magenta": box})).save(photo, "PNG")
    stub: face_pb2_grpc.FaceServiceStub = face_pb2_grpc.FaceServiceStub(channel)
    reply = stub.Detect(face_pb2.DetectRequest(image=photo.getvalue()), timeout=60)
    assert len(reply.faces) == 1


PHOTO = (ROOT / "helm" / "immich-mesh" / "files" / "photo.png").read_bytes()
RIGHT: Mapping[str, Callable[[grpc.Channel], None]] = {
    "ocr": reads_text,
    "clip": embeds_a_photo,
    "face": finds_a_face,
}


def test_services_share_every_layer_but_the_last() -> None:
    """Runtimes above all: a node that has one service's image fetches only the other's own files."""
    layers = [json.loads(buildah("inspect", "--type", "image", build(target)))["OCIv1"] for target in SERVICES]
    shared = [image["rootfs"]["diff_ids"][:-1] for image in layers]
    assert shared[0]
    assert shared == [shared[0]] * len(SERVICES)
