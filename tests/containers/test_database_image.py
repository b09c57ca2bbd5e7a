"""The database image with zhparser: pinned sources, on the image that compose runs."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker" / "database" / "Dockerfile").read_text("utf-8")


def test_sources_are_pinned_by_whole_commits_and_checked() -> None:
    pins = dict(re.findall(r"ARG (\w+)_COMMIT=(\w+)", DOCKERFILE))
    assert set(pins) == {"SCWS", "ZHPARSER"}
    for name, commit in pins.items():
        assert re.fullmatch(r"[0-9a-f]{40}", commit)
        assert f'[ "$(git rev-parse HEAD)" = "${{{name}_COMMIT}}" ]' in DOCKERFILE


def test_it_is_built_on_the_image_that_compose_runs() -> None:
    base = re.search(r"ARG IMMICH_POSTGRES=(\S+)", DOCKERFILE)
    assert base
    assert f"image: {base[1]}" in (ROOT / "compose.yaml").read_text("utf-8")
