"""Sentences that are made elsewhere, in Chinese: each is one that is made, and a whole report reads as Chinese."""

import ast
import gettext
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
import typer
from babel.messages.pofile import read_po

from mesh.cli import app as cli
from mesh.cli.output import phrases
from mesh.cli.output.language import LOCALES
from mesh.cli.output.phrases import Phrases, is_whole, localised

ROOT = Path(__file__).resolve().parents[5]
FOLDER = LOCALES / "zh_CN/LC_MESSAGES"
OURS = ("mesh", "router", "sql", "ocr_service", "clip_service", "face_service")
NOT_WRITTEN_HERE = {
    # The words of the system and of Immich, and what typer puts together (each is in an error below).
    *("Permission denied", "No such file or directory", "Read-only file system", "No space left on device"),
    *("Is a directory", "Not a directory", "Address already in use", "timed out", "Invalid API key"),
    *("[Errno 111] Connection refused", "[Errno -2] Name or service not known"),
    *("[Errno 111] Connect call failed {address}", "ConnectError All connection attempts failed"),
    "[Errno -3] Temporary failure in name resolution",
    *("Missing argument {name}.", "Missing option {name}.", "Missing option {name} (env var: {variable})."),
    "Option {name} requires an argument.",
}
ANY_VALUE = re.compile(r"\{\w*\}")


def translated() -> dict[str, str]:
    with (FOLDER / "phrases.po").open("rb") as file:
        return {str(entry.id): str(entry.string) for entry in read_po(file) if entry.id and not entry.fuzzy}


@lru_cache
def written() -> frozenset[str]:
    """Every text in the code, with `{}` for what is put in."""
    folders = [ROOT / name for name in OURS] + [Path(typer.__file__).parent]
    return frozenset(text for folder in folders for file in folder.rglob("*.py") for text in texts(file))


def texts(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield ANY_VALUE.sub("{}", node.value)


def is_written(message: str) -> bool:
    """Whether a sentence, or each of the pieces that it is put together from, stands in the code."""
    form = ANY_VALUE.sub("{}", message)
    if message in NOT_WRITTEN_HERE or message.startswith("Input should be ") or form in written():
        return True
    pieces = [piece.strip(" ,.;:()") for piece in ANY_VALUE.split(message)]
    return all(any(piece in text for text in written()) for piece in pieces if len(piece) > 3)


def test_every_translated_sentence_is_one_that_is_made() -> None:
    assert not [message for message in translated() if not is_written(message)]
    assert len(translated()) > 400


def test_a_translation_has_the_values_and_commands_of_its_sentence() -> None:
    for message, text in translated().items():
        for part in (r"\{\w+\}", r"`[^`]+`", r"\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b", r"--[a-z][a-z-]+"):
            assert sorted(re.findall(part, message)) == sorted(re.findall(part, text)), message


def test_what_is_read_is_what_was_written() -> None:
    """`make generate` compiles it."""
    with (FOLDER / "phrases.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert {message: compiled.gettext(message) for message in translated()} == translated()


HUB = "the hub at https://h does not answer: it was silent for too long; check the network, or name a mirror of the hub"
LAST_TRY = "the last try failed: endpoint h:1 cannot be reached"


@pytest.mark.parametrize(
    ("english", "read"),
    [
        ("a is not in b, and c cannot be reached (d)", "b 里没有 a，也连不到 c（d）"),
        ("OCR_MODLE is no setting: did you mean OCR_MODEL_NAME?", "OCR_MODLE 不是设置：是不是 OCR_MODEL_NAME？"),
        (
            f"no endpoint of cluster clip can answer (h:1 is downloading m (40 %)); {LAST_TRY} (HTTP 503, request abc)",
            "clip 没有能回答的服务（h:1 正在下载 m（40 %））；最近一次尝试失败：连不到 h:1（HTTP 503，请求 abc）",
        ),
        (
            f"m: {HUB}, for example HF_ENDPOINT=https://hf-mirror.com; it is tried again in 5 s",
            (
                "m：模型站 https://h 没有回答：它太久没有回应；请检查网络，或设置镜像，例如 "
                "HF_ENDPOINT=https://hf-mirror.com；5 秒后再试"
            ),
        ),
        ("a sentence that nobody knows", "a sentence that nobody knows"),
        ("braces {stay} as they are", "braces {stay} as they are"),
    ],
)
def test_values_and_sentences_within_a_sentence_find_their_places(chinese: None, english: str, read: str) -> None:
    assert localised(english) == read


def test_brackets_are_not_torn_apart() -> None:
    assert is_whole("a (b) (c)")
    assert not is_whole("a) and (b")
    told = Phrases.of({"{a} ({b})": "{b} of {a}", "{a}; {b}": "{a}, then {b}"})
    assert told.localised("one (1); two (2)") == "1 of one, then 2 of two"


def test_without_a_catalogue_everything_stays_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "xx")
    phrases._phrases.cache_clear()
    try:
        assert localised("stopped") == "stopped"
    finally:
        phrases._phrases.cache_clear()


ENGLISH = re.compile(r"\b(?:the|is|are|not|and|of|with|cannot|your)\b")


def test_a_report_reads_as_chinese(
    chinese: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every sentence of it: no English word is left where something is wrong."""
    monkeypatch.setenv("MESH_CACHE_FOLDER", str(tmp_path / "models"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OCR_MODLE", "x")
    monkeypatch.setenv("MACHINE_LEARNING_WORKERS", "2")
    monkeypatch.setenv("IMMICH_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DB_URL", "mysql://x")
    assert cli.run(["doctor"]) == 1
    report = re.sub(r"\S*/\S*|invalid DSN[^）]*", "", capsys.readouterr().out)  # paths, and asyncpg's own words
    left = [line for line in report.splitlines() if ENGLISH.search(line)]
    assert not left


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["call", "ocr", "/nowhere.jpg"], "无法读取 /nowhere.jpg：没有这个文件或文件夹"),
        (["call", "ocr", "--url", "nonsense", __file__], "'nonsense' 不是地址"),
        (["call", "text", "x", "--url", "http://127.0.0.1:9"], "连不到路由器 http://127.0.0.1:9（连接被拒绝）"),
        (["ps", "--admin-url", "http://127.0.0.1:9"], "连不到路由器的管理页面"),
        (["pull", "nonsens"], "没有叫 'nonsens' 的模型"),
        (["search", "x", "--api-key", "k", "--url", "http://127.0.0.1:9"], "连不到照片入口"),
        (["reprocess", "--api-key", "k"], "请说明哪些照片"),
        (["db", "status", "--database-url", "postgresql://a:b@127.0.0.1:9/c"], "连不到数据库"),
        (["unload"], "请写模型的名字"),
        (["ocr"], "没有命令 'ocr'"),
        (["ps", "--al"], "没有选项 --al"),
        (["call", "ocr"], "缺少参数 'PHOTO'。"),
        (["call", "ocr", "a", "b"], "多余的参数（b）"),
        (["search", "x"], "缺少选项 '--api-key'（环境变量：'IMMICH_API_KEY'）。"),
        (["ps", "--admin-url"], "选项 '--admin-url' 需要一个值。"),
        (["search", "x", "--api-key", "k", "--limit", "0"], "'--limit' 的值不对：不能小于 1"),
    ],
)
def test_an_error_is_read_in_chinese(
    chinese: None, capsys: pytest.CaptureFixture[str], words: list[str], read: str
) -> None:
    assert cli.run(words) != 0
    assert read in capsys.readouterr().err


def test_help_is_read_in_chinese(chinese: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Of every command, whatever is written in it."""
    for words in commands(typer.main.get_command(cli.app), ()):
        assert cli.run([*words, "--help"]) == 0
        page = capsys.readouterr().out
        assert not re.findall(r"\b(?:the|of|its|with|when|every)\b", page), words


def commands(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


@pytest.mark.parametrize("text", [": " * 3000, "is not in " * 500, "a: " * 600])
def test_what_is_too_long_or_too_deep_to_be_a_sentence_stays_readable(chinese: None, text: str) -> None:
    """A hub, a database or a proxy may answer a page of anything."""
    assert "".join(localised(text).replace("：", ":").split()) == "".join(text.split())


@pytest.mark.parametrize("words", [["pull"], ["logs"], ["search"], ["reprocess"], ["call", "ocr"], ["db", "migrate"]])
def test_a_page_of_help_has_typers_own_words_in_chinese_too(
    words: list[str], chinese: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "用法：" in shown
    assert not re.findall(r"Usage|\[required\]|\[default|\[env var|\b(?:TEXT|PATH|FILE|FOLDER|NUMBER)\b", shown)
