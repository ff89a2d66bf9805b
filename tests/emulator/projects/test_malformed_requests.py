"""Malformed requests are refused, never crash the server, and never affect other requests."""

from __future__ import annotations

import base64
import http.client
import io
import json
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from sogni.emulator.chat.messages import size_of
from sogni.emulator.routes.projects import UPLOAD_LIMIT
from tests.emulator.chat.helpers import MODEL, user
from tests.emulator.chat.test_chat_runs import RUNS, Stream, ended, start
from tests.emulator.chat.test_hosted_chat import COMPLETIONS, hosted, post
from tests.emulator.wire import DEADLINE, Wire, new_id
from tests.emulator.workflows.helpers import ROOT, plan, still

TEMPLATES = f"{ROOT}/templates"
DEEP = b"[" * 100_000


def sent(wire: Wire, path: str, body: bytes, type: str = "application/json") -> Any:
    headers = {**wire.headers, "Content-Type": type}
    return wire.http.post(wire.supernet.rest_endpoint + path, data=body, headers=headers, timeout=DEADLINE)


@pytest.mark.parametrize("path", [ROOT, TEMPLATES, COMPLETIONS, RUNS, "/v1/replay/records", "/v1/account/create"])
@pytest.mark.parametrize("body", [b"\xff\xfe{", DEEP, b"{", b"[]"], ids=["bytes", "deep", "cut", "list"])
@pytest.mark.parametrize("type", ["application/json", "application/json; charset=klingon"])
def test_a_body_that_is_not_a_json_object_is_refused(wire: Wire, path: str, body: bytes, type: str) -> None:
    assert sent(wire, path, body, type).status_code == 400


def test_a_body_that_is_too_large_is_refused_before_it_is_read(wire: Wire, supernet: LocalSupernet) -> None:
    def parts() -> Any:
        for _ in range(66):
            yield b" " * 1024**2

    reply = sent(wire, COMPLETIONS, parts())
    assert (reply.status_code, reply.json()["status"]) == (413, "error")
    assert "hello" in hosted(wire, "Say hello")["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "changes",
    [
        {"stages": [{"toolName": ["generate_image"]}]},
        {"inputs": [{"name": {}, "type": "text"}]},
        {"inputs": [{"name": "x", "type": "text", "multiple": 5}]},
        {"inputs": [{"name": "x", "type": "text", "multiple": {"min": "a"}}]},
        {"inputs": [{"name": "x", "type": "text", "multiple": {"max": 0}}]},
        {"inputs": [{"name": "x", "type": "select", "options": [5]}]},
    ],
)
def test_a_template_that_cannot_start_is_refused(wire: Wire, changes: Any) -> None:
    reply = wire.ask("POST", TEMPLATES, {"name": "Odd", **changes})
    assert (reply.status_code, reply.json()["status"]) == (400, "error")


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (COMPLETIONS, {"media_references": 5}),
        (COMPLETIONS, {"api_media_references": "https://example.com/a.png"}),
        (RUNS, {"media_references": 5}),
        (RUNS, {"media_context": {"images": 5}}),
        (RUNS, {"media_context": ["https://example.com/a.png"]}),
        (RUNS, {"runtime_config": "fast"}),
        (RUNS, {"sampling": 5}),
        (RUNS, {"max_estimated_capacity_units": "few"}),
    ],
)
def test_lists_and_objects_are_type_checked(wire: Wire, path: str, more: Any) -> None:
    assert post(wire, path, {"messages": [user("Hello")], **more}).status_code == 400


@pytest.mark.parametrize("more", [{"app_source": 5}, {"max_estimated_capacity_units": float("nan")}])
def test_odd_values_of_a_start_are_refused(wire: Wire, more: Any) -> None:
    assert sent(wire, ROOT, json.dumps(plan(still(), **more)).encode()).status_code == 400


@pytest.mark.parametrize("limit", ["²", "9" * 5000, "-1", "1.5"])
def test_numbers_of_a_query_are_plain_digits(wire: Wire, limit: str) -> None:
    assert wire.get(ROOT, limit=limit).status_code == 400


@pytest.mark.parametrize("count", ["²", "9" * 5000, "-1"])
def test_numbers_of_an_estimate_are_plain_digits(wire: Wire, supernet: LocalSupernet, count: str) -> None:
    host = supernet.socket_endpoint.replace("ws://", "http://")
    url = f"{host}/api/v1/job-llm/estimate/spark/{MODEL}/{count}/5"
    assert wire.http.get(url, headers=wire.headers, timeout=DEADLINE).status_code == 400


def test_an_unpaired_surrogate_reaches_every_reader(wire: Wire) -> None:
    half = "\ud83d"
    name = start(wire, f"Say {half}")
    content = ended(wire, name)["finalResponse"]["content"]
    told = [data for _, _, data in Stream(wire, name).frames()]
    assert half in content == told[-1]["payload"]["finalResponse"]["content"]


@pytest.mark.parametrize("text", ["create an image of ", "then ", "x=", " ", "“", '"a '])
def test_a_long_text_does_not_stop_the_emulator(wire: Wire, text: str) -> None:
    began = time.monotonic()
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"properties": {"x": {}}}}}
    hosted(wire, text * (120_000 // len(text)), sogni_tools=True, tool_choice="auto", response_format=schema)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("before", [0, 60_000], ids=["plain", "much before the size"])
def test_the_size_of_an_image_is_read_from_its_head(format: str, before: int) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x9286] = "x" * before
    Image.new("RGB", (320, 200)).save(buffer, format, **({"exif": exif} if before else {}))
    assert size_of(f"data:image/{format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}") == (320, 200)


def test_an_upload_above_the_limit_is_refused_at_once(wire: Wire) -> None:
    query = {"imageId": new_id(), "jobId": new_id(), "type": "startingImage", "contentType": "image/png"}
    url = urlsplit(wire.data("/v1/image/uploadUrl", **query)["uploadUrl"])
    connection = http.client.HTTPConnection(url.netloc, timeout=DEADLINE)
    try:
        connection.putrequest("PUT", f"{url.path}?{url.query}")
        connection.putheader("Content-Type", "image/png")
        connection.putheader("Content-Length", str(UPLOAD_LIMIT + 1))
        connection.endheaders()
        reply = connection.getresponse()
        assert (reply.status, b"EntityTooLarge" in reply.read()) == (400, True)
    finally:
        connection.close()
