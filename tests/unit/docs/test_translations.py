"""The check that keeps the Chinese pages in step finds what it is for."""

import subprocess
import sys

import pytest

from docs.translations import PAIRS, ROOT, differences

ENGLISH = """# Start

Set `OCR_PORT=1` or call `immich-mesh ps`.

```sh
make run   # starts
```

| a | b |
|---|---|
| c | d |

## More
"""
CHINESE = (
    ENGLISH.replace("Start", "开始").replace("# starts", "# 启动").replace("More", "更多").replace("or call", "或")
)


def test_a_translation_in_step_has_no_difference() -> None:
    assert list(differences(ENGLISH, CHINESE)) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("## 更多\n", "", "headings # ## are #"),
        ("## 更多", "### 更多", "headings # ## are # ###"),
        ("make run", "make start", "not translated: make run"),
        ("`immich-mesh ps`", "ps", "not translated: immich-mesh ps"),
        ("OCR_PORT=1", "OCR_PORT=2", "not translated: OCR_PORT=1"),
        ("| c | d |\n", "", "3 rows of tables are 2"),
        ("更多\n", "更多\n\n```sh\nmake clean\n```\n", "not in the English page: make clean"),
    ],
)
def test_what_is_out_of_step_is_told(old: str, new: str, told: str) -> None:
    assert old in CHINESE
    assert told in list(differences(ENGLISH, CHINESE.replace(old, new)))


def test_every_chinese_page_is_compared() -> None:
    pages = {f"docs/zh-CN/{path.name}" for path in (ROOT / "docs/zh-CN").glob("*.md")} | {"README.zh-CN.md"}
    assert set(PAIRS.values()) == pages


def test_the_pages_are_in_step_and_the_models_are_those_of_the_catalogue() -> None:
    for script in (["docs/translations.py"], ["docs/models_table.py", "--check"]):
        done = subprocess.run([sys.executable, *script], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
