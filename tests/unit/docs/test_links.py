"""Links of the pages that stand outside docs/, which `make docs` does not see."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted(path.name for path in ROOT.glob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_a_link_leads_to_a_file(name: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text("utf-8"))
    assert [target for target in targets if not (ROOT / target).exists()] == []
