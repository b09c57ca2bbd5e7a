"""From a pod's manifest to something that runs: image, environment, volumes."""

import base64
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.containers.dockerfile import Dockerfile
from tests.helm.cluster.sandbox import VENV, Mount
from tests.helm.cluster.store import Object

TREE = Path(__file__).resolve().parents[3]

BASE_ENVIRONMENT = {
    "PATH": f"{VENV}/bin:/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": f"{TREE}:{TREE / 'protos'}",
}
"""What stands for the image's own PATH: the project's environment, which has every target's packages."""

Lookup = Callable[[str, str], Object]
"""Finds an object by kind and name. Raises KeyError."""


def image_target(image: str) -> str:
    """The Dockerfile's target that an image is built from: `registry/immich-mesh-ocr:1-cuda` is `ocr`."""
    name = image.rsplit("/", 1)[-1].partition(":")[0].partition("@")[0]
    return name.removeprefix("immich-mesh-")


def command(container: Object, dockerfile: Dockerfile) -> list[str]:
    """The words that the container runs: entrypoint and command of manifest or image."""
    target = image_target(container["image"])
    words = [*container.get("command", dockerfile.command(target, "ENTRYPOINT"))]
    words += container.get("args", [] if "command" in container else dockerfile.command(target, "CMD"))
    if words[:2] == ["tini", "--"] and shutil.which("tini") is None:
        words = words[2:]  # the process is then process 1 itself, which asks more of it
    return words


def environment(container: Object, dockerfile: Dockerfile, pod: Mapping[str, str], lookup: Lookup) -> dict[str, str]:
    """The container's variables: the image's, `envFrom`, `env`, in Kubernetes' order of precedence."""
    found = dockerfile.environment(image_target(container["image"])) | BASE_ENVIRONMENT
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            found |= lookup("ConfigMap", source["configMapRef"]["name"]).get("data", {})
        else:
            secret = lookup("Secret", source["secretRef"]["name"])
            found |= {name: base64.b64decode(value).decode() for name, value in secret.get("data", {}).items()}
    for variable in container.get("env", ()):
        found[variable["name"]] = _value(variable, pod, lookup)
    return found


def _value(variable: Object, pod: Mapping[str, str], lookup: Lookup) -> str:
    source = variable.get("valueFrom")
    if source is None:
        return str(variable.get("value", ""))
    if "secretKeyRef" in source:
        wanted = source["secretKeyRef"]
        return base64.b64decode(lookup("Secret", wanted["name"])["data"][wanted["key"]]).decode()
    if "configMapKeyRef" in source:
        wanted = source["configMapKeyRef"]
        return str(lookup("ConfigMap", wanted["name"])["data"][wanted["key"]])
    return pod[source["fieldRef"]["fieldPath"]]


class Volumes:
    """The volumes of one pod as folders.

    Args:
        folder: where the pod's own volumes are made.
        claims: where claims are, one folder each, shared by all pods.
        group: the pod's `fsGroup`, which may write to them.
    """

    def __init__(self, spec: Object, folder: Path, claims: Path, lookup: Lookup) -> None:
        self._spec = spec
        self._lookup = lookup
        self._folder = folder
        self._group = spec.get("securityContext", {}).get("fsGroup", 0)
        self._folders: dict[str, Path] = {}
        for volume in spec.get("volumes", ()):
            if "persistentVolumeClaim" in volume:
                lookup("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
                place = claims / volume["persistentVolumeClaim"]["claimName"]
            else:
                place = folder / volume["name"]
            place.mkdir(parents=True, exist_ok=True)
            self._folders[volume["name"]] = place
            self._let_group_in(place)
        self.refresh()

    def _let_group_in(self, place: Path) -> None:
        shutil.chown(place, group=self._group)
        place.chmod(0o2775)

    def refresh(self) -> None:
        """Writes the files of ConfigMaps and Secrets as they are now."""
        for volume in self._spec.get("volumes", ()):
            place = self._folders[volume["name"]]
            if "configMap" in volume:
                found = self._lookup("ConfigMap", volume["configMap"]["name"])
                binary = {name: base64.b64decode(text) for name, text in found.get("binaryData", {}).items()}
                self._write(
                    place, {name: text.encode() for name, text in found.get("data", {}).items()} | binary, 0o644
                )
            elif "secret" in volume:
                found = self._lookup("Secret", volume["secret"]["secretName"])
                items = volume["secret"].get("items") or [{"key": name, "path": name} for name in found["data"]]
                content = {one["path"]: base64.b64decode(found["data"][one["key"]]) for one in items}
                self._write(place, content, volume["secret"].get("defaultMode", 0o644))

    def _write(self, place: Path, content: Mapping[str, bytes], mode: int) -> None:
        for name, data in content.items():
            # As the kubelet does: whole files appear by renaming.
            fresh = place / f"..{name}"
            fresh.write_bytes(data)
            fresh.chmod(mode)
            shutil.chown(fresh, group=self._group)
            fresh.replace(place / name)

    def mounts(self, container: Object) -> list[Mount]:
        """Where a container sees them."""
        found = [
            Mount(self._folders[mount["name"]], mount["mountPath"], mount.get("readOnly", False))
            for mount in container.get("volumeMounts", ())
        ]
        hidden = any(Path(mount.path) in TREE.parents for mount in found)
        # The tree stands for the image's files; one that lies in /tmp is not to vanish under the container's own.
        return [*found, Mount(TREE, str(TREE), read_only=True)] if hidden else found


def user(pod: Object, container: Object) -> int:
    """The user that a container runs as. Raises ValueError when it would be root."""
    number = container.get("securityContext", {}).get("runAsUser", pod.get("securityContext", {}).get("runAsUser", 0))
    if number == 0:
        raise ValueError("a container would run as root")
    return int(number)
