"""Disconnecting clients, invalid HTTP and injected faults leave no log messages."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from sogni.emulator import LocalSupernet
from tests.emulator.wire import Wire, job_request

POST = (
    "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nApi-Key: {key}\r\nContent-Type: {kind}\r\n{length}\r\n\r\n{body}"
)
UPGRADE = (
    "GET /?appId=a&clientName=x&clientType=artist&forceWorkerId=fast HTTP/1.1\r\nHost: x\r\nApi-Key: {key}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)
JSON = "application/json"


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[LocalSupernet]:
    """Provide an emulator that must not have logged anything by the time it is closed."""
    with caplog.at_level(logging.INFO):
        with LocalSupernet(step_time=0, seed=1) as supernet:
            yield supernet
        assert caplog.text == ""


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize(
    "message",
    [
        "GET /v1/x HTT",
        "\x00\x01\x02\x03\r\n\r\n",
        "\x16\x03\x01\x00\xa5\x01\x00\x00",
        POST.format(key="{key}", kind=JSON, length="Content-Length: 1000", body="["),
        POST.format(key="{key}", kind="text/plain", length="Content-Length: 1000", body="["),
        POST.format(key="{key}", kind=JSON, length="Transfer-Encoding: chunked", body="ff\r\n["),
        POST.format(key="{key}", kind=JSON, length="Transfer-Encoding: chunked", body="ZZ\r\n["),
        POST.format(key="{key}", kind=JSON, length="Content-Encoding: gzip\r\nContent-Length: 5", body="abcde"),
        POST.format(key="{key}", kind=JSON, length="Content-Encoding: br\r\nContent-Length: 5", body="abcde"),
        POST.format(key="{key}", kind="image/png", length="Content-Length: 9", body="[").replace("/v1", "/storage"),
        UPGRADE,
    ],
    ids=["half-line", "no-http", "tls", "json", "text", "half-chunk", "bad-chunk", "gzip", "br", "upload", "upgrade"],
)
def test_a_disconnecting_client_is_not_logged(quiet: LocalSupernet, message: str, reset: bool) -> None:
    endpoint = quiet.socket_endpoint if message == UPGRADE else quiet.rest_endpoint
    address = urlsplit(endpoint)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as peer:
        peer.sendall(message.replace("{key}", quiet.api_key).encode("latin-1"))
        # The emulator has read the message once it answers the next one.
        with Wire(quiet) as wire:
            assert wire.get("/v1/account/me").status_code == 200
        if reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_an_unreadable_body_is_refused(quiet: LocalSupernet) -> None:
    with Wire(quiet) as wire:
        url, headers = f"{quiet.rest_endpoint}/v1/chat/completions", {**wire.headers, "Content-Encoding": "gzip"}
        assert wire.http.post(url, b"no gzip", headers=headers, timeout=30).status_code == 400


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ({"body": {"a": [1, None]}}, 200, '{"a": [1, null]}'),
        ({"body": []}, 200, "[]"),
        ({"body": 7}, 200, "7"),
        ({"body": "text", "status": 404}, 404, "text"),
        ({"body": b"\xff", "content_type": "text/plain; charset=latin-1"}, 200, "ÿ"),
        ({"status": 500, "message": "line\nbreak", "retry_after": float("inf")}, 500, None),
        ({"status": 204, "body": "x"}, 204, ""),
        ({"status": 304}, 304, ""),
        ({"body": "", "truncate": True}, 200, ""),
        ({"delay": 0.001, "body": "late"}, 200, "late"),
    ],
)
def test_faults_of_http_are_carried_out_quietly(
    quiet: LocalSupernet, fault: dict[str, Any], status: int, text: str | None
) -> None:
    quiet.faults.http("/v1/account/me", **fault)
    with Wire(quiet) as wire:
        reply = wire.get("/v1/account/me")
        assert (reply.status_code, reply.text if text is not None else None) == (status, text)


@pytest.mark.parametrize("fault", [{"truncate": True}, {"disconnect": True}, {"status": 500, "truncate": True}])
def test_cut_answers_are_carried_out_quietly(quiet: LocalSupernet, fault: dict[str, Any]) -> None:
    quiet.faults.http("/v1/account/me", **fault)
    with Wire(quiet) as wire, pytest.raises(requests.exceptions.RequestException):
        wire.get("/v1/account/me")


def test_a_malformed_frame_may_be_any_json(quiet: LocalSupernet) -> None:
    quiet.faults.malform_frame("jobResult", raw={"type": 7})
    with Wire(quiet) as wire:
        wire.connect().send("jobRequest", job_request())
        assert wire.socket is not None
        while wire.socket.recv() != '{"type": 7}':
            pass


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("http", {"status": 99}),
        ("http", {"status": 1000}),
        ("http", {"status": "500"}),
        ("http", {"delay": -1}),
        ("http", {"delay": "soon"}),
        ("http", {"content_type": "text/html\r\nX: y"}),
        ("http", {"retry_after": "1\n"}),
        ("http", {"body": "\ud800"}),
        ("refuse_upgrade", {"status": 101}),
        ("refuse_upgrade", {"delay": float("nan")}),
        ("delay_frames", {"seconds": None}),
        ("delay_stream", {"seconds": -1}),
        ("drop_socket", {"at": "queued", "code": 1005}),
        ("drop_socket", {"at": "queued", "code": 70000}),
        ("malform_frame", {"raw": "\ud800"}),
    ],
)
def test_an_impossible_fault_is_refused(quiet: LocalSupernet, name: str, fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        getattr(quiet.faults, name)(**fault)
    assert quiet.faults.pending == ()
