"""What the admin API is asked for and how it answers."""

from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from mesh.core.errors import InvalidInputError
from router.config import AdminListener
from router.listeners.server.bodies import read_small_body
from router.listeners.server.messages import json_response

Order = TypeVar("Order", bound=BaseModel)


async def read_order(request: web.Request, kind: type[Order], settings: AdminListener) -> Order:
    """What the JSON body, or else the query, asks for. Raises InvalidInputError."""
    body = await read_small_body(request, settings)
    try:
        return kind.model_validate_json(body) if body else kind.model_validate(dict(request.query))
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise InvalidInputError(f"send {', '.join(kind.model_fields)} as JSON or query: {places}") from None


def admin_json(value: Any, status: int = 200) -> web.Response:
    """An answer that is true at this moment only."""
    response = json_response(orjson.dumps(value, option=orjson.OPT_INDENT_2), status)
    response.headers["Cache-Control"] = "no-store"
    return response
