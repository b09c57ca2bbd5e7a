"""Replies that the front door makes itself, in a shape that both the mesh's and Immich's clients understand."""

from enum import StrEnum
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import hdrs, web

from mesh.core.context import request_id
from mesh.core.errors import MeshError
from router.errors import http_status, retry_after
from router.front_door.errors import ImmichAwayError
from router.front_door.immich.schemas import Reply
from router.front_door.passthrough.headers import end_to_end

SERVED_HEADER = "x-immich-mesh-search"
"""Says how a search was served: `ranked`, `hybrid`, or `native; reason=...`."""


class Reason(StrEnum):
    """Why a search was left to Immich; told in the reply's header."""

    NO_DATABASE = "no-database"
    DATABASE_UNAVAILABLE = "database-unavailable"
    FILTER = "filter-not-translatable"
    RIGHTS = "key-may-not-read-user"
    EMBEDDING_UNAVAILABLE = "embedding-unavailable"
    DIMENSION = "embedding-dimension-mismatch"


def json_reply(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON reply, written as Immich writes it (`application/json; charset=utf-8`)."""
    return web.Response(
        body=orjson.dumps(payload), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


def failure(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error: `error` as everywhere in the mesh, `message` and `statusCode` where Immich's clients look for them."""
    code = HTTPStatus(status).phrase
    payload = {
        "error": {"code": code.upper().replace(" ", "_"), "message": message, "request_id": request_id.get()},
        "message": message,
        "statusCode": status,
    }
    return json_reply(payload, status, headers)


def mesh_failure(error: MeshError) -> web.Response:
    """The answer to a call that failed; with when to try again where that is worthwhile."""
    wait = retry_after(error)
    headers = {"Retry-After": wait} if wait else None
    if isinstance(error, ImmichAwayError):
        return failure(error.status, error.message, headers)
    return failure(http_status(error)[0], error.message, headers)


def immich_failure(status: int, message: str) -> web.Response:
    """An error exactly as Immich words its own: `{"message", "error", "statusCode"}`."""
    return json_reply({"message": message, "error": HTTPStatus(status).phrase, "statusCode": status}, status)


def relayed(reply: Reply, reason: Reason | None = None) -> web.Response:
    """One of Immich's replies passed on, with the header that says why Immich served it."""
    headers = end_to_end(reply.headers)
    # The reply was read and decompressed; its length and encoding are new.
    for name in (hdrs.CONTENT_LENGTH, hdrs.CONTENT_ENCODING, hdrs.ETAG, hdrs.DATE):
        headers.popall(name, None)
    if reason is not None:
        headers[SERVED_HEADER] = f"native; reason={reason}"
    return web.Response(status=reply.status, body=reply.body, headers=headers)
