"""Run records leave without secrets, and otherwise as they are (replay §2)."""

from __future__ import annotations

import copy
import json
import time
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sogni.core.replay import redact_run_record
from sogni.models.chat import TokenUsage
from sogni.models.replay import RunRecord
from sogni.models.tools import ToolCall, ToolCallFunction
from tests.tables import each_row

SECRET = "s3cr3t-Value_01"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3ODAwMDAwMDB9.c2lnbmF0dXJl"


def cleaned(value: Any) -> Any:
    """What is left of a value somewhere within a record."""
    record = {"run_id": "r", "rounds": [{"result": value}]}
    return redact_run_record(record)["rounds"][0]["result"]


NAMES = (
    "api_key", "apiKey", "api-key", "API_KEY", "x-api-key", "openai_api_key", "Authorization", "proxy-authorization",
    "token", "access_token", "accessToken", "refreshToken", "id_token", "sessionToken", "password", "dbPassword",
    "secret", "clientSecret", "client_secret", "privateKey", "private_key", "aws_secret_access_key", "AWSAccessKeyId",
    "X-Amz-Signature", "x-amz-security-token", "signature", "sig", "cookie", "Set-Cookie", "credentials", "mnemonic",
    "apiKeys", "private_keys", "key_secret", "passwords",
)  # fmt: skip


@each_row("name", NAMES)
@each_row("value", [SECRET, [SECRET], {"value": SECRET}], ids=["text", "list", "object"])
def test_a_name_that_says_it(name: str, value: Any) -> None:
    assert cleaned({name: value, "x": 1}) == {name: "***", "x": 1}


@each_row(
    "value",
    [
        {"prompt_tokens": 5, "max_tokens": 100, "tokens": 7, "token_count": 3},
        {"token": "spark", "tokenType": "sogni", "token_type": "spark", "costInToken": "0.25"},
        {"token": 5, "access_token": None, "password": None, "signature": True},
        {
            "keyscale": "C major",
            "time_signature": "4/4",
            "keySignature": "D",
            "timesig": "3",
            "key": "A minor",
            "keyframes": [1],
            "seed": 7,
            "author": "me",
            "design": "x",
        },
        {"session_id": "s", "account_id": "a", "model_id": "qwen3.6-35b-a3b-gguf-iq4xs"},
        {"content": "Two boats, painted in oil: 16:9, 4 steps.", "url": "https://h.example/a/b.png"},
        {"arguments": '{"prompt":  "a kite",\n "duration": 5}'},
        {"id": "D7B1C9E0-1F2A-4B3C-8D4E-5F6A7B8C9D0E", "path": "/home/me/a.png"},
        ["a", 1, 2.5, None, True, {}],
        {1: "a", None: "b"},
    ],
)
def test_everything_else_stays(value: Any) -> None:
    assert cleaned(value) == value


@each_row(
    ("text", "left"),
    [
        (f"use the key: api_key={SECRET} please", "use the key: api_key=*** please"),
        ("see https://b.example/a.png?X-Amz-Signature=5ab3&X-Amz-Date=1 now", "see https://b.example/a.png?*** now"),
        (f"https://me:{SECRET}@h.example/x", "https://***@h.example/x"),
        (f"Bearer {JWT}", "Bearer ***"),
        ("he sent Bearer abcdefghijkl0123 there", "he sent Bearer *** there"),
        (JWT, "***"),
        ("![x](data:image/png;base64,iVBORw0KGgo=) end", "![x](data:image/png;base64,***) end"),
        ("data:text/plain;charset=utf-8,hello%20world", "data:text/plain;charset=utf-8,***"),
        ("DATA:,x", "DATA:,***"),
        ("sk-proj-abcdEFGH1234abcdEFGH1234", "***"),
        ("my AKIAIOSFODNN7EXAMPLE key", "my *** key"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123", "***"),
        ("0x" + "4f" * 32, "***"),
        ("-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----\nrest", "***\nrest"),
        ("-----BEGIN PRIVATE KEY-----\nabc", "***"),
        ("QUJD" * 100 + "==", "***"),
    ],
)
def test_a_shape_that_says_it(text: str, left: str) -> None:
    assert cleaned(text) == left
    assert cleaned({text: None}) == {left: None}


def test_json_within_a_text_is_looked_into() -> None:
    inner = {"request": json.dumps({"password": 12345, "user": "me", "deeper": json.dumps([{"apiKey": SECRET}])})}
    assert cleaned(json.dumps(inner)) == json.dumps(
        {"request": json.dumps({"password": "***", "user": "me", "deeper": json.dumps([{"apiKey": "***"}])})}
    )


@pytest.mark.parametrize("text", ['{"password": "' + SECRET + '", ', "{password: " + SECRET + "}"])
def test_what_only_looks_like_json_is_a_text(text: str) -> None:
    assert SECRET not in cleaned(text)


def test_known_secrets_go_wherever_they_stand() -> None:
    record = {"run_id": "r", "user_request": "is abcd1234 a word?"}
    assert redact_run_record(record, secrets=["abcd1234", ""])["user_request"] == "is *** a word?"


def test_bytes_are_taken_out_and_other_values_become_plain() -> None:
    value = {"image": b"\x89PNG", "usage": TokenUsage(prompt_tokens=2), "t": ("a",), "m": MappingProxyType({"x": 1})}
    assert cleaned(value) == {
        "image": "***",
        "usage": {"prompt_tokens": 2, "completion_tokens": 0},
        "t": ["a"],
        "m": {"x": 1},
    }
    assert cleaned(Decimal("0.5")) == Decimal("0.5")


def test_what_nobody_looked_at_does_not_leave() -> None:
    deep: Any = {"password": SECRET}
    for _ in range(200):
        deep = [deep]
    looped: list[Any] = []
    looped.append(looped)
    assert SECRET not in repr(cleaned([deep, json.dumps(deep)]))
    assert "***" in repr(cleaned(looped))


def test_a_record_stays_a_record() -> None:
    call = ToolCall(id="c", function=ToolCallFunction(name="f", arguments=f'{{"token": "{SECRET}"}}'))
    record = RunRecord(run_id="r", schema_version=2, rounds=[call], user_request=JWT, extra={"apiKey": SECRET, "n": 1})
    left = redact_run_record(record)
    assert left == RunRecord(
        run_id="r",
        schema_version=2,
        rounds=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"token": "***"}'}}],
        user_request="***",
        extra={"apiKey": "***", "n": 1},
    )
    assert record.extra["apiKey"] == SECRET


@pytest.mark.parametrize("record", [None, "record", [1]])
def test_what_is_no_record(record: Any) -> None:
    with pytest.raises(TypeError, match="record must be a RunRecord or a dict"):
        redact_run_record(record)


TEXTS = st.text(max_size=30) | st.sampled_from(
    [JWT, "data:image/png;base64,AAAA", f"token: {SECRET}", "https://h/?sig=1", "sk-" + "a1" * 12, '{"password": "x"}',
     "Bearer " + "a" * 12, "token: token: a", "data:,data:,x", "cookie: a=b", "api_key=api_key=x"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_doing_it_twice_changes_nothing_more_and_nothing_given_is_changed(value: Any) -> None:
    record = {"run_id": "r", "rounds": [value], "text": json.dumps(value)}
    before = copy.deepcopy(record)
    once = redact_run_record(record)
    assert redact_run_record(once) == once
    assert record == before


@settings(deadline=None)
@given(st.sampled_from(["data:", "A", "sk-", "sk-a-", "-----BEGIN PRIVATE KEY-----", "Bearer ", "0x", "{", '"', "a,"]))
def test_no_text_takes_long(piece: str) -> None:
    begin = time.process_time()
    cleaned(piece * 5000)
    assert time.process_time() - begin < 2
