"""Brings `.venv` up to what `uv.lock` says, on a machine with Python and nothing else (no pip, venv or compiler).

`make run` and `make setup` begin here, so this file needs the standard library only and must be readable by older and
newer Pythons too: they get a clear refusal rather than a traceback. The steps:

1. find a Python 3.11 or 3.12: the one that runs this, else one on PATH;
2. find uv: on PATH, else in `.tools/`, else fetch it there (with pip when there is one, else its wheel from the package
   index, whose sha256 is pinned below);
3. let uv install, exactly as locked. Extras and groups of earlier calls stay: `make run` after `make setup` keeps the
   development tools.

The environment's index is honoured (`UV_DEFAULT_INDEX`, `UV_INDEX_URL`, `PIP_INDEX_URL`, pip.conf), and so are proxies
and certificates. Nothing is printed when nothing is to be done.
"""

from __future__ import annotations

import argparse
import base64
import configparser
import hashlib
import io
import json
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
SUPPORTED = ((3, 11), (3, 12))
PYPI = "https://pypi.org/simple"
RIVALS = ("cpu", "cuda")
"""Extras that exclude each other: the one asked for last wins."""

UV_VERSION = "0.13.9"
UV_OLDEST = (0, 9)
"""The oldest uv that reads this project's lock file."""
UV_WHEELS = {
    ("Linux", "x86_64"): (
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    ("Linux", "aarch64"): (
        "manylinux_2_28_aarch64",
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    ),
    ("Darwin", "x86_64"): ("macosx_10_12_x86_64", "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5"),
    ("Darwin", "arm64"): ("macosx_11_0_arm64", "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63"),
}
"""Platform to (wheel tag, sha256 of the wheel) of uv `UV_VERSION`."""


class RefusalError(Exception):
    """What is wrong and what to do about it, in one or two lines."""


def say(line: str) -> None:
    """Prints one step, at once."""
    print(line, flush=True)


# Python


def version_of(python: str) -> tuple[int, ...] | None:
    """(major, minor) of an interpreter, or None when it does not run (a shim of a version that is not active)."""
    asked = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(int(part) for part in answer.stdout.split())


def find_python(venv: Path) -> str:
    """The interpreter to build on: the environment's own, the one that runs this, else 3.12 or 3.11 on PATH."""
    for candidate in (str(venv / "bin" / "python"), sys.executable, "python3.12", "python3.11"):
        path = shutil.which(candidate)
        if path and version_of(path) in SUPPORTED:
            return path
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise RefusalError(
        f"Immich Mesh needs Python 3.11 or 3.12; this is {here}, and there is no python3.11 or python3.12 on PATH.\n"
        "Install one (Debian 12: apt install python3; elsewhere: https://www.python.org/downloads/) and try again."
    )


# The package index


def pip_setting(name: str) -> str | None:
    """A setting of pip's [global] section, from the files that pip reads; the user's before the machine's."""
    files = [os.environ.get("PIP_CONFIG_FILE"), "~/.config/pip/pip.conf", "~/.pip/pip.conf", "/etc/pip.conf"]
    for file in files:
        if not file:
            continue
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(file).expanduser())
        except configparser.Error:
            continue
        if parser.has_option("global", name):
            return parser.get("global", name).strip()
    return None


def configured_index() -> str | None:
    """The index that the environment names instead of PyPI, without a slash at its end; None for PyPI."""
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    index = next((os.environ[name] for name in names if os.environ.get(name)), None) or pip_setting("index-url")
    if index is None or index.rstrip("/") == PYPI:
        return None
    return index.rstrip("/")


def open_url(url: str, accept: str) -> bytes:
    """The body of `url`. Name and password in it are sent as basic authentication and are never printed.

    A machine without certificates (Debian without ca-certificates), or with old ones, cannot check the server. The
    download is then fetched unchecked, since its sha256 is pinned here; never with a password, which that would give
    away.
    """
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(url, headers={"Accept": accept, "User-Agent": "immich-mesh-bootstrap"})
    context = ssl.create_default_context()
    if parts.username:
        host = parts.hostname or ""
        if parts.port:
            host = f"{host}:{parts.port}"
        bare = urllib.parse.urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
        login = urllib.parse.unquote("{}:{}".format(parts.username, parts.password or ""))
        request = urllib.request.Request(bare, headers=dict(request.headers))
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        return read(request, context)
    except urllib.error.URLError as error:
        if parts.username or not isinstance(error.reason, ssl.SSLCertVerificationError):
            raise
    return read(request, ssl._create_unverified_context())


def read(request: urllib.request.Request, context: ssl.SSLContext) -> bytes:
    """The body of an answer."""
    with urllib.request.urlopen(request, timeout=120, context=context) as response:
        return bytes(response.read())


def has_certificates() -> bool:
    """Whether this machine has certificates of authorities at all, in a file or a folder."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return True
    return bool(paths.capath) and any(Path(paths.capath).iterdir())


# uv


def uv_works(uv: str | None) -> bool:
    """Whether this uv runs and is new enough."""
    if uv is None:
        return False
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, timeout=30, check=True)
        words = answer.stdout.split()
        return tuple(int(part) for part in words[1].split(".")[:2]) >= UV_OLDEST
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return False


def own_uv() -> Path:
    """Where a uv that this script fetched lies."""
    return TOOLS / "uv" / "bin" / "uv"


def find_uv() -> str:
    """A uv that works: on PATH, fetched before, or fetched now."""
    for candidate in (shutil.which("uv"), str(own_uv()) if own_uv().exists() else None):
        if uv_works(candidate):
            return str(candidate)
    key = (platform.system(), platform.machine())
    if key not in UV_WHEELS:
        oldest = ".".join(str(part) for part in UV_OLDEST)
        raise RefusalError(
            f"Install uv {oldest} or newer yourself (https://docs.astral.sh/uv/): none is pinned for {key}."
        )
    say(f"Fetching uv {UV_VERSION} into .tools/ ...")
    tag, sha256 = UV_WHEELS[key]
    (TOOLS / "uv").mkdir(parents=True, exist_ok=True)
    if not fetch_uv_with_pip(sha256):
        fetch_uv_wheel(tag, sha256)
    if not uv_works(str(own_uv())):
        raise RefusalError(f"uv was fetched but does not run here: {own_uv()}")
    return str(own_uv())


def fetch_uv_with_pip(sha256: str) -> bool:
    """Lets pip fetch uv, so that all of pip's own settings hold. False when there is no pip or it could not."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "uv.txt"
        requirements.write_text(f"uv=={UV_VERSION} --hash=sha256:{sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
        command += ["--only-binary", ":all:", "--require-hashes", "--target", str(own_uv().parent.parent)]
        done = subprocess.run([*command, "-r", str(requirements)], capture_output=True, check=False)
    return done.returncode == 0 and own_uv().exists()


def fetch_uv_wheel(tag: str, sha256: str) -> None:
    """Fetches uv's wheel by the index's JSON or HTML page and unpacks its one program."""
    index = configured_index() or PYPI
    wheel = f"uv-{UV_VERSION}-py3-none-{tag}.whl"
    try:
        data = open_url(wheel_url(index, wheel), "*/*")
    except (OSError, ValueError) as error:  # of the network (urllib's are OSErrors); of a page or address
        raise RefusalError(
            f"uv could not be fetched from the package index ({urllib.parse.urlsplit(index).hostname}: {error}).\n"
            "Check the network and proxy (https_proxy), or install uv yourself: https://docs.astral.sh/uv/"
        ) from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RefusalError(
            f"{wheel} from the package index is not the pinned file (sha256 differs). Nothing was installed."
        )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        program = archive.read(f"uv-{UV_VERSION}.data/scripts/uv")
    own_uv().parent.mkdir(parents=True, exist_ok=True)
    partial = own_uv().with_suffix(".partial")
    partial.write_bytes(program)
    partial.chmod(0o755)
    partial.replace(own_uv())


def wheel_url(index: str, wheel: str) -> str:
    """The address of `wheel` in `index`, whose page is JSON (PEP 691) or, with older mirrors, HTML (PEP 503)."""
    page_url = f"{index}/uv/"
    page = open_url(page_url, "application/vnd.pypi.simple.v1+json, text/html;q=0.1").decode()
    if page.lstrip().startswith("{"):
        found = [file["url"] for file in json.loads(page)["files"] if file["filename"] == wheel]
    else:
        hrefs = (piece.split('"', 1)[0] for piece in page.split('href="')[1:])
        found = [href for href in hrefs if href.split("#", 1)[0].endswith(wheel)]
    if not found:
        raise ValueError(f"it has no {wheel}")
    return urllib.parse.urljoin(page_url, str(found[0]).split("#", 1)[0])


# The environment


def uv_environment(uv: str, venv: Path) -> dict[str, str]:
    """The environment of uv: into our folder, and with its cache inside the project when uv is ours."""
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME")}
    environment["UV_PROJECT_ENVIRONMENT"] = str(venv)
    environment.setdefault("UV_HTTP_TIMEOUT", "120")
    if uv == str(own_uv()):
        environment.setdefault("UV_CACHE_DIR", str(TOOLS / "cache"))
    certificates = os.environ.get("PIP_CERT") or pip_setting("cert")
    if certificates:
        environment.setdefault("SSL_CERT_FILE", certificates)
    if has_certificates():
        # Those of the machine rather than uv's own: they know a company's proxy.
        environment.setdefault("UV_SYSTEM_CERTS", "true")
    return environment


def remembered(stamp: Path) -> dict[str, Any]:
    """What earlier calls installed: {"extras", "groups", "digest"}; empty when that is not known."""
    try:
        known = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def together(earlier: list[str], now: list[str]) -> list[str]:
    """Both lists, sorted; of two rivals the one asked for now."""
    dropped = [rival for rival in RIVALS if any(name in RIVALS and name != rival for name in now)]
    return sorted((set(earlier) - set(dropped)) | set(now))


def digest(python: str, wanted: list[str]) -> str:
    """A fingerprint of everything that decides what is installed."""
    seen = hashlib.sha256("\n".join([*wanted, str(version_of(python))]).encode())
    for name in ("uv.lock", "pyproject.toml"):
        seen.update((ROOT / name).read_bytes())
    return seen.hexdigest()


def sync(uv: str, python: str, venv: Path, wanted: list[str], quiet: bool) -> None:
    """Installs what the lock file says. From PyPI by `uv sync`; from another index by the same versions and hashes.

    `uv sync --locked` takes an index other than the lock file's for a change of the lock; `uv export` and `uv pip sync`
    do not, and every file is still checked against the hash in the lock.
    """
    environment = uv_environment(uv, venv)
    noise = ["--quiet"] if quiet or not sys.stderr.isatty() else []
    index = configured_index()
    if index is None:
        run_uv([uv, "sync", "--locked", *noise, "--python", python, *wanted], environment)
        return
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        environment.pop(name, None)
    if quiet:
        return
    with tempfile.TemporaryDirectory() as folder:
        locked = str(Path(folder) / "locked.txt")
        exporting = [uv, "export", "--frozen", "--quiet", "--no-emit-project", "--output-file", locked]
        run_uv([*exporting, *wanted], environment)
        environment["UV_DEFAULT_INDEX"] = index
        if version_of(str(venv / "bin" / "python")) is None:
            run_uv([uv, "venv", "--quiet", "--allow-existing", "--python", python, str(venv)], environment)
        into = ["--python", str(venv / "bin" / "python")]
        run_uv([uv, "pip", "sync", *noise, *into, "--require-hashes", locked], environment)
        run_uv([uv, "pip", "install", *noise, *into, "--no-deps", "--editable", str(ROOT)], environment)


def run_uv(command: list[str], environment: dict[str, str]) -> None:
    """Runs uv in the project; its own messages are shown as they are."""
    done = subprocess.run(command, cwd=str(ROOT), env=environment, check=False)
    if done.returncode != 0:
        raise RefusalError("uv could not install what is needed (its message is above). Mend that and try again.")


def bootstrap(venv: Path, extras: list[str], groups: list[str]) -> None:
    """Brings `venv` up to date with extras and groups, and with those of earlier calls."""
    python = find_python(venv)
    uv = find_uv()
    stamp = venv / ".bootstrap.json"
    known = remembered(stamp)
    extras = together(known.get("extras", []), extras)
    groups = together(known.get("groups", []), groups)
    # Only the groups that were asked for: `dev` would otherwise come by default.
    wanted = ["--no-default-groups"]
    wanted += [part for name in extras for part in ("--extra", name)]
    wanted += [part for name in groups for part in ("--group", name)]
    fingerprint = digest(python, wanted)
    current = known.get("digest") == fingerprint and version_of(str(venv / "bin" / "python")) is not None
    if not current:
        say("Installing {} into {} with {} ...".format(", ".join(extras + groups), show(venv), show(Path(python))))
    sync(uv, python, venv, wanted, quiet=current)
    if not current:
        stamp.write_text(json.dumps({"extras": extras, "groups": groups, "digest": fingerprint}), encoding="utf-8")
        say("Installed.")


def show(path: Path) -> str:
    """A path as a person would write it: relative to the project where it is inside."""
    try:
        return str(path.relative_to(ROOT))
    except ValueError:
        return str(path)


def main() -> int:
    """Reads the arguments; 0 when the environment is ready, 1 with a message when it is not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--extra", action="append", default=[], metavar="NAME", help="an extra of pyproject.toml")
    parser.add_argument("--group", action="append", default=[], metavar="NAME", help="a group of pyproject.toml")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="the environment's folder (default: .venv)")
    arguments = parser.parse_args()
    try:
        bootstrap(arguments.venv.absolute(), arguments.extra, arguments.group)
    except RefusalError as refusal:
        print(f"bootstrap: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bootstrap: stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
