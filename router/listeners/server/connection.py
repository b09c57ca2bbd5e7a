"""One client's connection: aiohttp's, but what is no HTTP is answered and noted as everything else here is."""

import secrets
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from mesh.core.context import REQUEST_ID_HEADER
from mesh.core.errors import InvalidInputError, MeshError
from router.errors import error_body
from router.listeners.server.messages import json_response

log = structlog.get_logger()

_OF_THE_CLIENT = (HttpProcessingError, web.RequestPayloadError, ConnectionError)


class ListenerConnection(RequestHandler):
    """A connection of one listener."""

    __slots__ = ("_listener",)
    _listener: str

    @classmethod
    def of(cls, server: web.Server, listener: str) -> "ListenerConnection":
        """A new connection of aiohttp's server, with the settings that it would give to its own."""
        connection = cls(server, loop=server._loop, **server._kwargs)
        connection._listener = listener
        return connection

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be parsed, or could not be answered by the application.

        The bytes that were sent appear neither in the answer nor in the log.
        """
        self._note(exc, status, request.remote)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had begun")
        return _refusal(status)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends an answer. aiohttp's own refusals, made before the application was asked, are worded as ours."""
        if isinstance(resp, web.HTTPException) and resp.status >= HTTPStatus.BAD_REQUEST:
            self._note(None, resp.status, request.remote)
            resp = _refusal(resp.status)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What went wrong beside a request: the rest of a body that nobody waits for, or a defect of ours."""
        self._note(kw.get("exc_info"), HTTPStatus.INTERNAL_SERVER_ERROR, None)

    def _note(self, error: Any, status: int, remote: str | None) -> None:
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, _OF_THE_CLIENT):
            log.error("request failed", listener=self._listener, remote=remote, exc_info=error)
            return
        reason = type(error).__name__ if error is not None else HTTPStatus(status).phrase
        log.info("no valid HTTP request", listener=self._listener, remote=remote, code=int(status), reason=reason)


def _refusal(status: int) -> web.Response:
    error: Exception = InvalidInputError("this is no valid HTTP request") if status < 500 else MeshError("internal")
    identity = secrets.token_hex(8)
    response = json_response(error_body(error, identity), status)
    response.headers[REQUEST_ID_HEADER] = identity
    response.force_close()
    return response
