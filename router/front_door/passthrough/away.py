"""What a client gets while Immich is away: JSON for programs, and for a browser a page that tries again by itself."""

from html import escape

from aiohttp import hdrs, web

from router.front_door.errors import ImmichAwayError
from router.front_door.replies import mesh_failure

RELOAD_SECONDS = 5

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{seconds}">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 20vh auto; max-width: 32rem; padding: 0 1rem }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{message}</p>
<p>This page tries again every {seconds} seconds.</p>
</body>
</html>
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def away(request: web.BaseRequest, error: ImmichAwayError) -> web.Response:
    """The answer to a request that Immich could not be asked."""
    if not _is_page_view(request):
        return mesh_failure(error)
    title = "Immich is slow" if error.status == 504 else "Immich is away"
    headers = {
        hdrs.RETRY_AFTER: str(RELOAD_SECONDS),
        hdrs.CACHE_CONTROL: "no-store",
        "Content-Security-Policy": POLICY,
    }
    text = PAGE.format(title=title, message=escape(error.message), seconds=RELOAD_SECONDS)
    return web.Response(status=error.status, text=text, content_type="text/html", charset="utf-8", headers=headers)


def _is_page_view(request: web.BaseRequest) -> bool:
    """Whether a person looks at the answer: a browser opens a page, and not a script or an image inside one."""
    if request.method not in ("GET", "HEAD") or request.path.startswith("/api/"):
        return False
    mode = request.headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode else "text/html" in request.headers.get(hdrs.ACCEPT, "")
