"""Immich's own web app, from a folder with its build, and the calls that it makes before it shows a photo.

The folder is what `vite build` of Immich's `web/` leaves (`build/`); nothing of it is part of this project.
"""

import mimetypes
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.doubles.immich_library import DoubleAsset, DoubleUser, ImmichLibrary

HELMET = (
    "default-src 'self';script-src 'self' 'wasm-unsafe-eval' 'unsafe-inline';style-src 'self' 'unsafe-inline';"
    "img-src 'self' data: blob:;connect-src 'self' blob:;worker-src 'self' blob:;frame-src 'none';object-src 'none';"
    "base-uri 'self'"
)
"""As strict as the policy that Immich ships for those who switch it on."""

FEATURES = {
    "configFile": False,
    "duplicateDetection": False,
    "email": False,
    "facialRecognition": True,
    "importFaces": False,
    "map": False,
    "oauth": False,
    "oauthAutoLaunch": False,
    "ocr": True,
    "passwordLogin": True,
    "realtimeTranscoding": False,
    "reverseGeocoding": False,
    "search": True,
    "sidecar": False,
    "smartSearch": True,
    "trash": True,
}
CONFIG = {
    "externalDomain": "",
    "isInitialized": True,
    "isOnboarded": True,
    "loginPageMessage": "",
    "maintenanceMode": False,
    "mapDarkStyleUrl": "",
    "mapLightStyleUrl": "",
    "minFaces": 3,
    "oauthButtonText": "",
    "publicUsers": True,
    "trashDays": 30,
    "userDeleteDelay": 7,
}
PREFERENCES = {
    "albums": {"defaultAssetOrder": "desc"},
    "cast": {"gCastEnabled": False},
    "download": {"archiveSize": 4294967296, "includeEmbeddedVideos": False},
    "emailNotifications": {"enabled": False, "albumInvite": False, "albumUpdate": False},
    "folders": {"enabled": False, "sidebarWeb": False},
    "memories": {"enabled": False, "duration": 5},
    "people": {"enabled": True, "sidebarWeb": False},
    "purchase": {"showSupportBadge": False, "hideBuyButtonUntil": "2099-01-01T00:00:00.000Z"},
    "ratings": {"enabled": False},
    "recentlyAdded": {"sidebarWeb": False},
    "sharedLinks": {"enabled": True, "sidebarWeb": False},
    "tags": {"enabled": False, "sidebarWeb": False},
}
LISTS = (
    "/api/memories",
    "/api/notifications",
    "/api/albums",
    "/api/stacks",
    "/api/faces",
    "/api/tags",
    "/api/partners",
)


class ImmichBundle:
    """Answers what an Immich double does not know: the app's files, its page, and its first calls."""

    def __init__(self, folder: Path, library: ImmichLibrary, user: DoubleUser) -> None:
        self._folder = folder
        self._library = library
        self._user = user

    def reply(self, request: web.Request) -> web.StreamResponse | None:
        """A file, the page, or an answer of the API; None for what is not known here either."""
        if request.path.startswith("/api/"):
            return self._api(request)
        file = (self._folder / request.path.lstrip("/")).resolve()
        if file.is_file() and self._folder.resolve() in file.parents:
            return self._file(request, file)
        if request.path.startswith("/_app/"):
            return web.Response(status=404)
        page = web.Response(body=(self._folder / "index.html").read_bytes(), content_type="text/html", charset="utf-8")
        page.headers.update({"Cache-Control": "no-store", "Content-Security-Policy": HELMET})
        return page

    def _file(self, request: web.Request, file: Path) -> web.Response:
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        headers = {"Cache-Control": "public, max-age=31536000, immutable"} if "immutable" in file.parts else {}
        packed = file.with_name(file.name + ".br")
        if packed.exists() and "br" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"], file = "br", packed
        return web.Response(body=file.read_bytes(), content_type=kind, headers=headers)

    def _api(self, request: web.Request) -> web.Response | None:
        known: dict[str, Any] = {
            "/api/server/config": CONFIG,
            "/api/server/features": FEATURES,
            "/api/server/about": {"version": "v3.0.3", "versionUrl": "", "licensed": True},
            "/api/server/storage": {"diskUse": "1 GiB", "diskSize": "2 GiB", "diskAvailable": "1 GiB"}
            | {"diskUseRaw": 1, "diskSizeRaw": 2, "diskAvailableRaw": 1, "diskUsagePercentage": 50},
            "/api/server/media-types": {"image": [".jpg"], "sidecar": [".xmp"], "video": [".mp4"]},
            "/api/users/me/preferences": PREFERENCES,
            "/api/timeline/buckets": self._buckets(),
            "/api/timeline/bucket": self._bucket(),
        }
        if request.path in known:
            return web.json_response(known[request.path])
        return web.json_response([]) if request.path.startswith(LISTS) else None

    @property
    def _shown(self) -> list[DoubleAsset]:
        return list(self._library.assets.values())

    def _buckets(self) -> list[dict[str, Any]]:
        return [{"timeBucket": "2024-05-01", "count": len(self._shown)}] if self._shown else []

    def _bucket(self) -> dict[str, list[Any]]:
        columns: dict[str, Any] = {
            "id": lambda asset: str(asset.id),
            "ownerId": lambda asset: str(asset.owner),
            "createdAt": lambda asset: asset.taken.isoformat(),
            "fileCreatedAt": lambda asset: asset.taken.isoformat(),
            "localOffsetHours": lambda _: 0,
            "isImage": lambda asset: asset.type == "IMAGE",
            "visibility": lambda asset: asset.visibility,
            "ratio": lambda _: 4 / 3,
            "duration": lambda asset: 2000 if asset.type == "VIDEO" else None,
        }
        columns |= dict.fromkeys(("isFavorite", "isTrashed"), lambda _: False)
        empty = ("city", "country", "latitude", "livePhotoVideoId", "longitude", "projectionType", "stack", "thumbhash")
        columns |= dict.fromkeys(empty, lambda _: None)
        return {name: [value(asset) for asset in self._shown] for name, value in columns.items()}
