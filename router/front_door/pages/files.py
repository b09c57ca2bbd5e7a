"""The front door's own pages: the files of `router/console/photos/` below `/mesh/`.

They hold nothing of anybody's; what they show is asked for with the session that the browser has with Immich.
"""

from collections.abc import Mapping

from aiohttp import web

from router.console.static import SHARED, StaticFile

BASE = "/mesh/"
INDEX = "index.html"
SCRIPT = "immich.js"
"""The script that goes into Immich's page."""

NAMES = (
    INDEX,
    SCRIPT,
    "api.js",
    "app.js",
    "immich-panel.js",
    "immich-selection.js",
    "missing.js",
    "photo.js",
    "refresh.js",
    "search.js",
    "style.css",
)


class PageFiles:
    """All of them, by path."""

    def __init__(self) -> None:
        self._files: Mapping[str, StaticFile] = {
            BASE + ("" if name == INDEX else name): StaticFile(f"photos/{name}") for name in NAMES
        } | {BASE + name: StaticFile(f"shared/{name}") for name in SHARED}

    def reply(self, request: web.Request) -> web.Response | None:
        """The file that is asked for; None when it is no page of ours.

        A person who opens `/mesh` is sent to the page; a program is told what this is (see `FrontDoor`).
        """
        if request.method not in ("GET", "HEAD"):
            return None
        if request.path == BASE.rstrip("/") and "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=302, headers={"Location": BASE, "Cache-Control": "no-store"})
        file = self._files.get(request.path)
        return None if file is None else file.reply(request)

    def script_url(self, *, refreshes: bool) -> str:
        """Where the script for Immich's page is; the address changes with its content and with what it may offer."""
        return f"{BASE}{SCRIPT}?v={self._files[BASE + SCRIPT].tag}" + ("&refresh=1" if refreshes else "")
