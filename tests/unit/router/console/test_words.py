"""The texts of the pages: every language has every text, with the same values, and none that nothing shows."""

import re
from importlib.resources import files
from pathlib import Path

CONSOLE = Path(str(files("router.console")))
KEY = re.compile(r'(?:^  |, )(?:"([^"]+)"|(\w+)): "((?:[^"\\]|\\.)*)"', re.MULTILINE)
BUILT = ("queue_", "check_", "tone_", "state_", "model_", "service_", "healing_", "stage_", "step_", "page")
"""Beginnings of names that the pages put together."""


def words(language: str) -> dict[str, str]:
    text = (CONSOLE / "shared" / f"words-{language}.js").read_text(encoding="utf-8")
    return {quoted or plain: value for quoted, plain, value in KEY.findall(text)}


def test_every_language_has_every_text_with_the_same_values() -> None:
    english = words("en")
    assert len(english) > 200
    for path in (CONSOLE / "shared").glob("words-*.js"):
        other = words(path.stem.removeprefix("words-"))
        assert other.keys() == english.keys(), path.name
        for key, text in english.items():
            assert set(re.findall(r"{\w+}", other[key])) == set(re.findall(r"{\w+}", text)), (path.name, key)


def test_every_text_is_shown_somewhere() -> None:
    pages = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted(CONSOLE.rglob("*"))
        if path.suffix in (".js", ".html") and not path.name.startswith("words-")
    )
    shown = {name for pair in re.findall(r"[\"'](\w+)[\"']|data-t=(\w+)", pages) for name in pair}
    unused = [key for key in words("en") if key not in shown and not key.startswith(BUILT)]
    assert unused == []
