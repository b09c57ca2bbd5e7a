"""The OpenAPI document of the MT Photos listener: what `/docs` shows and `/openapi.json` answers."""

from functools import cache
from typing import Any

from mesh.core.version import mesh_version

Schema = dict[str, Any]

_FILE: Schema = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "description": "JPEG, PNG, WebP, GIF (first frame), BMP or TIFF, at most 64 MiB.",
                    }
                },
            }
        }
    },
}
_TEXT: Schema = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["text"],
                "properties": {"text": {"type": "string", "minLength": 1, "example": "一只狗"}},
            }
        }
    },
}
_NUMBERS: Schema = {
    "type": "object",
    "properties": {
        "result": {
            "type": "array",
            "description": "The unit vector, each number as a string with 16 decimals.",
            "items": {"type": "string", "example": "0.3305919170379639"},
        }
    },
}


def _strings(description: str) -> Schema:
    return {"type": "array", "description": description, "items": {"type": "string"}}


_BOX: Schema = {
    "type": "object",
    "description": "The upright box around a line, in pixels of the upright photo.",
    "properties": {name: {"type": "string", "example": "12.00"} for name in ("x", "y", "width", "height")},
}
_OCR: Schema = {
    "type": "object",
    "properties": {
        "result": {
            "type": "object",
            "properties": {
                "texts": _strings("Lines in reading order; empty for a photo without text."),
                "scores": _strings("How certain each line is, 0 to 1, with two decimals."),
                "boxes": {"type": "array", "items": _BOX},
            },
        }
    },
}
_FACE: Schema = {
    "type": "object",
    "properties": {
        "embedding": {"type": "array", "description": "The unit vector.", "items": {"type": "number"}},
        "facial_area": {
            "type": "object",
            "description": "Pixels of the upright photo.",
            "properties": {name: {"type": "integer"} for name in ("x", "y", "w", "h")},
        },
        "face_confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
_FACES: Schema = {
    "type": "object",
    "properties": {
        "detector_backend": {"type": "string", "example": "insightface"},
        "recognition_model": {"type": "string", "example": "buffalo_l"},
        "result": {"type": "array", "description": "Empty for a photo without faces.", "items": _FACE},
    },
}
_CHECK: Schema = {
    "type": "object",
    "properties": {
        "result": {"type": "string", "example": "pass"},
        "title": {"type": "string"},
        "help": {"type": "string"},
        "device": {"type": "string"},
        "detector_backend": {"type": "string"},
        "recognition_model": {"type": "string"},
        "facial_min_score": {"type": "number"},
        "facial_max_distance": {"type": "number"},
    },
}
_RESTART: Schema = {"type": "object", "properties": {"result": {"type": "string"}}}
_INFO: Schema = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("title", "docs", "help")},
}
_ERROR: Schema = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "example": "invalid_input"},
                "message": {"type": "string", "description": "What is wrong and what to do."},
                "request_id": {"type": "string", "description": "What to look for in the logs."},
            },
        }
    },
}
_FAILURES = {
    "400": "Not an image, damaged, or too large in pixels.",
    "401": "The key is wrong.",
    "413": "The body is larger than 64 MiB.",
    "422": "The key, the field `file` or the field `text` is missing.",
    "503": "The service is not ready or overloaded; try again after `Retry-After` seconds.",
    "504": "No answer in time.",
}


def _operation(summary: str, reply: Schema, body: Schema | None = None, failures: tuple[str, ...] = ()) -> Schema:
    """An operation behind the key."""
    codes = ("401", "422", *failures)
    responses: Schema = {"200": _json("Done.", reply)}
    responses |= {code: {"$ref": f"#/components/responses/E{code}"} for code in sorted(codes)}
    operation: Schema = {"summary": summary, "responses": responses, "security": [{"key": []}]}
    return operation | ({"requestBody": body} if body else {})


def _open(summary: str, reply: Schema, kind: str = "application/json") -> Schema:
    """An operation without the key."""
    return {"summary": summary, "security": [], "responses": {"200": _json("Done.", reply, kind)}}


def _json(description: str, schema: Schema, kind: str = "application/json") -> Schema:
    return {"description": description, "content": {kind: {"schema": schema}}}


@cache
def document() -> Schema:
    """The whole document, OpenAPI 3.1."""
    inference = ("400", "413", "503", "504")
    responses = {f"E{code}": _json(text, _ERROR) for code, text in _FAILURES.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Immich Mesh, MT Photos API",
            "version": mesh_version(),
            "description": "OCR, CLIP and faces for the MT Photos app. Every error is JSON with what to do.",
        },
        "paths": {
            "/": {"get": _open("Where to read on", _INFO)},
            "/ping": {"get": _open("Whether the server runs", {"type": "string", "const": "pong"}, "text/plain")},
            "/check": {"post": _operation("Check the key; what the server recognises faces with", _CHECK)},
            "/face/check": {"get": _operation("The same, as older apps ask", _CHECK)},
            "/ocr": {"post": _operation("Read the text of a photo", _OCR, _FILE, inference)},
            "/clip/img": {"post": _operation("Encode a photo", _NUMBERS, _FILE, inference)},
            "/clip/txt": {"post": _operation("Encode a search query", _NUMBERS, _TEXT, inference)},
            "/represent": {"post": _operation("Find and encode faces", _FACES, _FILE, inference)},
            "/restart": {"post": _operation("Does nothing: answers `unsupported`", _RESTART)},
            "/restart_v2": {"post": _operation("Unload all models from memory", _RESTART, failures=("503",))},
        },
        "components": {
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "api-key"}},
            "responses": responses,
        },
    }
