"""Access to the server: keys, limits on requests, and the log."""

from __future__ import annotations

import asyncio
import logging

import pytest

from sogni.emulator import LocalSupernet
from sogni.serve import requests
from tests.serve.asgi import KEY, Caller

CHAT = "/v1/chat/completions"


async def test_key_is_required(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sogni.serve")
    for headers, code in (
        ({"key": None}, "missing_api_key"),
        ({"key": "wrong"}, "invalid_api_key"),
        ({"key": None, "authorization": f"Basic {KEY}"}, "missing_api_key"),
        ({"key": "schlüssel"}, "invalid_api_key"),
    ):
        for path in ("/v1/models", CHAT):
            reply = await call("GET" if path == "/v1/models" else "POST", path, {}, **headers)
            assert reply.refusal == (401, code, None)
            assert reply.headers["www-authenticate"] == "Bearer"
    assert (await call("GET", "/v1/models", authorization=f"bearer {KEY}")).status == 200
    assert KEY not in caplog.text


async def test_host_and_origin_are_checked_on_loopback(call: Caller) -> None:
    for host in ("localhost", "127.0.0.1:8481", "[::1]:8481", "app.localhost"):
        assert (await call("GET", "/v1/models", host=host)).status == 200
    for host in ("evil.example", "127.0.0.1.evil.example:8481", "localhost.evil.example", "", "10.0.0.1"):
        assert (await call("GET", "/health", host=host)).refusal == (403, "host_not_allowed", None)
    for origin in ("https://evil.example", "null", "https://localhost.evil.example", "file://", "http://[::1"):
        assert (await call("GET", "/v1/models", origin=origin)).refusal == (403, "origin_not_allowed", None)
        reply = await call("OPTIONS", CHAT, origin=origin)
        assert (reply.status, "access-control-allow-origin" in reply.headers) == (403, False)
    reply = await call("OPTIONS", CHAT, key=None, origin="http://localhost:3000")
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (204, "http://localhost:3000")


async def test_what_is_no_request(call: Caller) -> None:
    deep = [b'{"messages": ' + b"[" * levels + b"]" * levels + b"}" for levels in (100_000, 100, 99)]
    for body in (b"", b"{", b"[]", b'"text"', b"\xff", b'{"temperature": NaN}', *deep[:2]):
        assert (await call("POST", CHAT, body)).refusal == (400, "invalid_json", None)
    assert (await call("POST", CHAT, deep[2])).refusal == (400, "missing_required_parameter", "model")
    assert (await call("POST", CHAT, {}, content_type="text/plain")).refusal == (400, "unsupported_content_type", None)
    assert (await call("GET", "/v1/files")).refusal == (404, "unknown_url", None)
    reply = await call("GET", CHAT)
    assert (reply.refusal, reply.headers["allow"]) == ((405, "method_not_supported", None), "POST")


async def test_large_bodies_are_refused_and_read_to_their_end(call: Caller) -> None:
    call.service.max_body = 1000
    for length in ({}, {"content_length": "3000"}):
        parts = [b" " * 500] * 6
        reply = await call("POST", CHAT, parts, **length)
        assert reply.refusal == (413, "request_too_large", None)


async def test_body_that_does_not_arrive(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.05)
    exchange = call.begin("POST", CHAT, [b"{"])
    exchange.stalled = True
    await exchange.task
    assert exchange.reply.refusal[:2] == (408, "request_timeout")


async def test_number_of_requests_is_bounded(call: Caller, supernet: LocalSupernet) -> None:
    call.service.max_requests = 1
    supernet.chat.rate(20)
    supernet.chat.reply("word " * 200)
    body = {"model": "qwen3.6-35b-a3b-gguf-iq4xs", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    exchange = call.begin("POST", CHAT, body)
    await exchange.received.wait()
    reply = await call("GET", "/v1/models")
    assert (reply.refusal, reply.headers["retry-after"]) == ((429, "rate_limit_exceeded", None), "1")
    assert (await call("GET", "/health")).status == 200
    exchange.leave()
    await exchange.task
    assert (await call("GET", "/v1/models")).status == 200


async def test_bodies_are_bounded_together(call: Caller) -> None:
    call.service.max_body = 1000
    waiting = [call.begin("POST", CHAT, [b" " * 900, b" " * 90]) for _ in range(8)]
    for exchange in waiting:
        exchange.stalled = True
    while call.service.held < 7000:
        await asyncio.sleep(0)
    reply = await call("POST", CHAT, b" " * 990)
    assert (reply.refusal, reply.headers["retry-after"]) == ((429, "rate_limit_exceeded", None), "1")
    for exchange in waiting:
        exchange.leave()
        await exchange.task
    assert call.service.held == 0
    assert (await call.chat()).status == 200


async def test_mistakes_of_the_server_are_logged_and_not_shown(
    call: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str) -> None:
        raise KeyError("a detail")

    monkeypatch.setattr(type(call.service.models), "chat", lambda self, name: fail(name))
    reply = await call.chat()
    assert reply.refusal == (500, "internal_error", None)
    assert "a detail" not in reply.body.decode()
    assert "a detail" in caplog.text


async def test_log_has_one_line_per_request(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sogni.serve")
    reply = await call.chat("a secret")
    await call("GET", "/v1/models\nstatus=200?key=a-secret")
    one, other = [record.getMessage() for record in caplog.records]
    assert one.startswith(f"request id={reply.headers['x-request-id']} method=POST path={CHAT} status=200 seconds=")
    assert " model=qwen3.6-35b-a3b-gguf-iq4xs " in one
    assert " paid_in=sogni" in one
    assert '"/v1/models\\nstatus=200" status=404' in other
    assert "secret" not in one + other


async def test_health_tells_whether_the_service_can_be_reached(call: Caller) -> None:
    assert (await call("GET", "/health", key=None)).json == {"status": "ok", "requests": 1}
    await call.service.client.close()
    reply = await call("GET", "/health", key=None)
    assert (reply.status, reply.json["status"]) == (503, "disconnected")
    await asyncio.sleep(0)
