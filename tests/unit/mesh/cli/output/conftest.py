"""A terminal in Chinese: both catalogues are read once in a process, and forgotten after such a test."""

from collections.abc import Iterator

import pytest

from mesh.cli.output import language, phrases


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LANGUAGE", "")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    for cached in (language._translations, phrases._phrases):
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in (language._translations, phrases._phrases):
        cached.cache_clear()
