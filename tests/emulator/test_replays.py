"""Replay records: responses without envelope, redacted secrets, private to the writer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.wire import Payload, Wire

PATH = "/v1/replay/records"
RECORD: Payload = {
    "run_id": "run 1",
    "schema_version": 2,
    "model_id": "qwen",
    "user_request": "plan a teaser",
    "rounds": [{"note": "one"}, {"note": "two"}],
    "final_response": {"content": "done"},
    "ours": [1, 2],
}


def write(wire: Wire, **changes: Any) -> Payload:
    reply = wire.ask("POST", PATH, {**RECORD, **changes})
    assert reply.status_code == 200, reply.text
    found: Payload = reply.json()
    return found


def test_a_record_comes_back_as_it_was_written(wire: Wire) -> None:
    told = write(wire)
    assert {key: told[key] for key in ("runId", "schemaVersion", "redacted")} == {
        "runId": "run 1",
        "schemaVersion": 2,
        "redacted": False,
    }
    assert told["createTime"] == told["updateTime"] > 1_700_000_000_000
    assert wire.get(f"{PATH}/run%201").json() == {"record": RECORD, "createTime": told["createTime"]}


def test_summaries_count_the_rounds_newest_first(wire: Wire) -> None:
    for name in ("a", "b", "a"):
        write(wire, run_id=name)
    listed = wire.get(PATH).json()["records"]
    assert [entry["runId"] for entry in listed] == ["a", "b"]
    assert (listed[0]["rounds"], listed[0]["userRequest"], listed[0]["modelId"]) == (2, "plan a teaser", "qwen")
    assert len(wire.get(PATH, limit="1").json()["records"]) == 1


@pytest.mark.parametrize(
    "secret",
    [
        {"apiKey": "abcdefgh"},
        {"headers": {"Authorization": "Bearer abcdefghijkl"}},
        {"text": "use Bearer abcdefghijklmnop please"},
        {"text": "key sk-abcdefghijklmnopqrstuv"},
        {"url": "https://h.test/f.png?X-Amz-Signature=abcdefabcdef&x=1"},
        {"text": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"},
        {"image": "data:image/png;base64," + "A" * 80},
    ],
)
def test_secrets_are_redacted(wire: Wire, secret: Payload) -> None:
    assert write(wire, rounds=[secret])["redacted"] is True
    kept = json.dumps(wire.get(f"{PATH}/run%201").json()["record"]["rounds"])
    for hidden in ("abcdefgh", "eyJ", "AAAA"):
        assert hidden not in kept
    assert "[redacted]" in kept


def test_records_are_private(wire: Wire, supernet: LocalSupernet) -> None:
    write(wire)
    other = supernet.add_account("somebody", "a password", api_key="another-key")
    wire.headers["api-key"] = str(other.api_key)
    assert wire.get(f"{PATH}/run%201").status_code == 404
    assert wire.get(PATH).json() == {"records": []}


@pytest.mark.parametrize("body", [{}, {"run_id": 3}, {"run_id": ""}, []])
def test_a_record_needs_a_run_id(wire: Wire, body: Any) -> None:
    assert wire.ask("POST", PATH, body).status_code == 400
