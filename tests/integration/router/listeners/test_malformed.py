"""What is no HTTP, or hardly: one INFO line, JSON, no traceback, and nothing of it repeated."""

import json
import logging

import pytest
import structlog

from mesh.core.logs import configure_logs
from mesh.core.settings import LogFormat
from tests.doubles.router import Front
from tests.integration.router.listeners.test_listener import connect

MULTIPART = b"Content-Type: multipart/form-data; boundary=X\r\n"
GZIP = b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\nSECRET"
HOST = b"Host: 127.0.0.1\r\n"
REQUESTS = {
    "TLS": b"\x16\x03\x01\x02\x00SECRET\r\n\r\n",
    "words": b"SECRET\r\n\r\n",
    "version": b"GET / HTTP/9.9\r\n" + HOST + b"X: SECRET\r\n\r\n",
    "header without colon": b"GET / HTTP/1.1\r\n" + HOST + b"SECRET\r\n\r\n",
    "address": b"GET http://[SECRET HTTP/1.1\r\n" + HOST + b"\r\n",
    "length": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: SECRET\r\n\r\n",
    "length and chunks": b"POST /predict HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks": b"POST /predict HTTP/1.1\r\n" + HOST + MULTIPART + b"Transfer-Encoding: chunked\r\n\r\nSECRET\r\n",
    "encoding": b"POST /predict HTTP/1.1\r\n" + HOST + MULTIPART + b"Transfer-Encoding: SECRET\r\n\r\n0\r\n\r\n",
    "gzip": b"POST /predict HTTP/1.1\r\n"
    + HOST
    + MULTIPART
    + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\nSECRET",
    "gzip unread": b"POST /x HTTP/1.1\r\n" + HOST + GZIP,
    "expectation": b"POST /predict HTTP/1.1\r\n" + HOST + b"Expect: SECRET\r\nContent-Length: 3\r\n\r\nabc",
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "long line": b"GET /" + b"SECRET" * 2000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "no host": b"GET / HTTP/1.1\r\nX: SECRET\r\n\r\n",
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_one_line_and_json(stage: Front, capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure_logs("INFO", LogFormat.JSON, "test")
    try:
        reader, writer = await connect(stage)
        writer.write(REQUESTS[name])
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split(b" ")[1] in (b"400", b"404", b"417")
        assert b"application/json" in head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        assert json.loads(body)["error"]["request_id"]
        writer.close()
        await stage.router.listener("immich_ml").stop()
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers.clear()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = [line for line in lines if line["event"] in ("no valid HTTP request", "request")]
    assert [line["level"] for line in told] == ["info"] * len(told)
    assert 1 <= len(told) <= 2
    assert "SECRET" not in json.dumps(lines) + head.decode() + body.decode()
    assert not any("exception" in line or line["level"] == "error" for line in lines)
