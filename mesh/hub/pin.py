"""Prints sections of `pins.toml` from what the hub announces: `python -m mesh.hub.pin immich-app/buffalo_l ...`.

For whoever maintains the catalogue. What is printed is the hub's word of today; compare it with what others have
published before it goes into the file.
"""

import sys
import threading

import httpx

from mesh.core.settings import ServiceSettings
from mesh.hub.entry import ModelSource, SourceKind
from mesh.hub.fetch.hugging_face import HubToken, HuggingFace
from mesh.hub.fetch.problems import SourceError
from mesh.hub.fetch.remote_file import Patience


def section(hub: HuggingFace, location: str) -> str:
    """The section of one repository, `owner/name`: its commit, and the SHA-256 of its large ONNX and JSON files.

    Raises SourceError.
    """
    commit, checksums = hub.announced(ModelSource(SourceKind.HUB, location))
    lines = [f'["{location}"]', f'revision = "{commit}"', f'["{location}".sha256]']
    wanted = (path for path in sorted(checksums) if path.endswith((".onnx", ".json")))
    return "\n".join((*lines, *(f'"{path}" = "{checksums[path]}"' for path in wanted)))


def main(locations: list[str]) -> int:
    """Prints the sections; the number of repositories that gave none."""
    settings = ServiceSettings()
    auth = HubToken(settings.hf_endpoint, settings.hf_token.get_secret_value()) if settings.hf_token else None
    failed = 0
    with httpx.Client(follow_redirects=True, auth=auth) as client:
        hub = HuggingFace(settings.hf_endpoint.rstrip("/"), client, Patience(), threading.Event())
        for location in locations:
            try:
                sys.stdout.write(f"{section(hub, location)}\n\n")
            except SourceError as error:
                failed += 1
                sys.stderr.write(f"{error.reason}\n")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
