"""One script of ours in Immich's page, so that its menus can refresh text and vectors.

Only the document that a person opens is changed, by one element before `</head>`. Immich's validators keep working: an
`ETag` gets a suffix of ours, which is taken off again when a browser asks whether the page has changed.
"""

import re
import zlib
from html import escape

from aiohttp import ClientResponse, hdrs, web
from multidict import CIMultiDict

from router.front_door.passthrough.headers import end_to_end

MAX_PAGE_BYTES = 2 << 20
"""Immich's page takes some 10 kB; what is longer than this passes through as it came."""

_HEAD_END = re.compile(rb"</head\s*>", re.IGNORECASE)
_ETAG = re.compile(r'(W/)?"([^"]*)"')
_CHANGED = (hdrs.CONTENT_LENGTH, hdrs.CONTENT_ENCODING, hdrs.ETAG, hdrs.LAST_MODIFIED, hdrs.ACCEPT_RANGES)


class ScriptInjection:
    """Puts a script into the pages that pass through.

    Args:
        script_url: where the script is; it is part of the page's validator.
    """

    def __init__(self, script_url: str) -> None:
        self._element = f'<script type="module" src="{escape(script_url)}"></script>'.encode()
        self._suffix = f"-mesh{zlib.crc32(self._element):08x}"

    @staticmethod
    def concerns(request: web.Request) -> bool:
        """Whether somebody opens a page: no script, image or call of the API."""
        if request.method != "GET" or request.path.startswith(("/api/", "/_app/")):
            return False
        mode = request.headers.get("Sec-Fetch-Mode")
        return mode in (None, "navigate") and "text/html" in request.headers.get(hdrs.ACCEPT, "")

    def ask(self, headers: CIMultiDict[str]) -> None:
        """Changes a request on its way to Immich: the page is wanted whole, and not packed."""
        headers[hdrs.ACCEPT_ENCODING] = "identity"
        for name in (hdrs.RANGE, hdrs.IF_RANGE, hdrs.IF_MODIFIED_SINCE):
            headers.popall(name, None)
        known = [f'{weak}"{tag.removesuffix(self._suffix)}"' for weak, tag in _ETAG.findall(
            ", ".join(headers.popall(hdrs.IF_NONE_MATCH, []))) if tag.endswith(self._suffix)]  # fmt: skip
        if known:
            headers[hdrs.IF_NONE_MATCH] = ", ".join(known)

    async def change(self, upstream: ClientResponse) -> web.Response | bytes | None:
        """The reply with the script in it; bytes that were read of one that stays as it is; None when none were read.

        Raises ClientError or TimeoutError when Immich breaks off.
        """
        headers = end_to_end(upstream.headers)
        if upstream.status == 304:
            self._mark(headers, upstream)
            return web.Response(status=304, headers=headers)
        encoding = upstream.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
        if upstream.status != 200 or upstream.content_type != "text/html":
            return None
        if encoding not in ("identity", "gzip", "deflate"):
            return None
        raw = bytearray()
        async for piece in upstream.content.iter_any():
            raw += piece
            if len(raw) > MAX_PAGE_BYTES:
                return bytes(raw)
        page = _unpacked(bytes(raw), encoding)
        end = None if page is None else _HEAD_END.search(page)
        if page is None or end is None:
            return bytes(raw)
        self._mark(headers, upstream)
        body = page[: end.start()] + self._element + page[end.start() :]
        return web.Response(status=200, reason=upstream.reason, headers=headers, body=body)

    def _mark(self, headers: CIMultiDict[str], upstream: ClientResponse) -> None:
        for name in _CHANGED:
            headers.popall(name, None)
        if found := _ETAG.fullmatch(upstream.headers.get(hdrs.ETAG, "").strip()):
            # Packed on its way out or not, it is the same page: a weak validator says just that.
            headers[hdrs.ETAG] = f'W/"{found.group(2)}{self._suffix}"'


def _unpacked(raw: bytes, encoding: str) -> bytes | None:
    """The page itself; None when it cannot be unpacked or is longer than a page may be."""
    if encoding == "identity":
        return raw
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: either header
    try:
        page = unpacking.decompress(raw, MAX_PAGE_BYTES)
    except zlib.error:
        return None
    return page if unpacking.eof else None
