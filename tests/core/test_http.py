"""REST calls as values, and what their answers mean (transport §3, §4)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sogni.core.http import (
    HttpCall,
    HttpReply,
    data_of,
    error_of,
    get,
    json_of,
    number_text,
    post,
    query,
    read_data,
    read_unwrapped,
    retry_after,
)
from sogni.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    InsufficientBalanceError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ServerError,
    ValidationError,
)
from sogni.models.catalogue import SupportedModel
from tests.tables import each_row

CALL = get("/v1/x")
NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def reply(status: int, body: Any = b"", **headers: str) -> HttpReply:
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return HttpReply(status=status, body=raw, headers=headers, url="https://api.sogni.ai/v1/x?token=1")


# --- calls


def test_a_get_may_be_repeated_and_leaves_out_what_is_not_set() -> None:
    call = get("/v1/x", provider=None, limit=5, all=True, none=False, share=0.5, name="a b/ü")
    assert (call.method, call.host, call.repeatable, call.body) == ("GET", "rest", True, None)
    assert call.target == "/v1/x?limit=5&all=true&none=false&share=0.5&name=a+b%2F%C3%BC"
    assert get("/v1/x").target == "/v1/x"


def test_a_post_has_a_body_and_is_not_repeated() -> None:
    """transport §3: no body argument sends `{}`."""
    assert post("/v1/x").body == {}
    assert post("/v1/x", []).body == []
    call = post("/v1/x", {"a": 1}, host="socket", timeout=5.0, repeatable=True, headers={"Idempotency-Key": "k"})
    assert (call.method, call.body, call.host, call.timeout, call.repeatable) == ("POST", {"a": 1}, "socket", 5.0, True)
    assert not post("/v1/x").repeatable


@each_row(
    ("value", "text"),
    [
        (512, "512"),
        (512.0, "512"),
        (-0.5, "-0.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (0.0001, "0.0001"),
        (0.00001, "0.00001"),
        (0.0000015, "0.0000015"),
        (1e-7, "1e-7"),
        (-2.5e-10, "-2.5e-10"),
    ],
)
def test_numbers_are_written_as_javascript_writes_them(value: float, text: str) -> None:
    assert text == number_text(value)


def test_other_values_are_written_as_texts() -> None:
    assert query(a=Decimal("1.50"), b="x", c=3.0) == (("a", "1.50"), ("b", "x"), ("c", "3"))


def test_the_repr_of_a_call_shows_no_secret() -> None:
    call = HttpCall(
        method="PUT",
        path="https://b/x?sig=SECRET",
        host="storage",
        body={"password": "SECRET"},
        headers={"a": "SECRET"},
    )
    assert "SECRET" not in repr(call)
    assert "SECRET" not in repr(reply(200, "SECRET", a="SECRET"))


# --- success


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_an_empty_success_is_no_value(status: int) -> None:
    assert json_of(CALL, reply(status)) is None
    assert json_of(CALL, reply(status, b" \n")) is None


@pytest.mark.parametrize("value", [{"a": 1}, [1], "x", 0, None, True])
def test_a_success_is_its_json(value: Any) -> None:
    assert value == json_of(CALL, reply(200, json.dumps(value)))


@pytest.mark.parametrize("body", [b"<html>", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_success_nobody_can_read_names_the_status(body: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^GET /v1/x: HTTP 200 with a body that is not JSON$"):
        json_of(CALL, reply(200, body))


def test_the_data_of_an_envelope() -> None:
    assert data_of(CALL, reply(200, {"status": "success", "data": {"a": 1}})) == {"a": 1}
    assert data_of(CALL, reply(200, {"status": "success", "data": None})) is None


@pytest.mark.parametrize("body", [{"status": "success"}, [1], b"", "5"])
def test_an_envelope_without_data_cannot_be_read(body: Any) -> None:
    with pytest.raises(ProtocolError, match="has no data"):
        data_of(CALL, reply(200, body))


def test_answers_as_data_classes() -> None:
    model = {"id": "m", "SID": 3}
    assert SupportedModel(id="m", sid=3) == read_data(SupportedModel, CALL, reply(200, {"data": model}))
    assert [SupportedModel(id="m", sid=3)] == read_unwrapped(list[SupportedModel], CALL, reply(200, [model]))
    with pytest.raises(ProtocolError, match=r"^the response to GET /v1/x is malformed: .* at \$\.id$"):
        read_data(SupportedModel, CALL, reply(200, {"data": {}}))


# --- refusals


@each_row(
    ("status", "kind"),
    [
        (301, ApiError),
        (400, ValidationError),
        (401, AuthenticationError),
        (404, NotFoundError),
        (409, ConflictError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
    ],
)
def test_every_other_status_is_an_error_of_its_class(status: int, kind: type[ApiError]) -> None:
    with pytest.raises(kind) as caught:
        json_of(CALL, reply(status, {"status": "error", "message": "no", "errorCode": 7}))
    assert (status, 7, "GET", "https://api.sogni.ai/v1/x") == (
        caught.value.status,
        caught.value.error_code,
        caught.value.method,
        caught.value.url,
    )


PAYLOADS: list[tuple[Any, str, Any]] = [
    # body, message, code (transport §4.2, §16)
    ({"message": "busy", "errorCode": 731}, "busy", 731),
    ({"message": "busy", "error_code": 731}, "busy", 731),
    ({"message": "busy", "errorCode": "tag"}, "busy", "tag"),
    ({"message": "busy"}, "busy", None),
    ({"message": "busy", "errorCode": True}, "busy", None),
    ({"message": "busy", "errorCode": {"a": 1}}, "busy", None),
    ({"message": ""}, "HTTP 409", None),
    ({"message": 5}, "HTTP 409", None),
    ({}, "HTTP 409", None),
    ({"error": {"message": "busy", "code": "tag"}}, "busy", "tag"),
    ({"error": {"message": "inner", "code": "inner"}, "message": "busy", "errorCode": 0}, "busy", 0),
    ({"error": "text", "message": "busy"}, "busy", None),
    ({"error": "no such model"}, "no such model", None),
    ({"error": ""}, "HTTP 409", None),
]


@each_row(("body", "message", "code"), PAYLOADS, ids=str)
def test_message_and_code_come_from_the_body(body: Any, message: str, code: Any) -> None:
    error = error_of(CALL, reply(409, body))
    assert isinstance(error, ApiError)
    assert (message, code, body) == (error.message, error.error_code, error.payload)


SENTENCES: list[tuple[int, Any, str]] = [
    # what the body of a refusal says when it is no JSON object (transport §4.3)
    (404, b"", "Not Found"),
    (599, b"", "HTTP 599"),
    (404, b" \n ", "Not Found"),
    (503, "server  is\n restarting ", "server is restarting"),
    (400, "x" * 500, "x" * 500),
    (400, "x" * 501, "x" * 500 + "…"),
    (502, "<html>\n<b>Bad</b>", "Bad Gateway: <html> <b>Bad</b>"),
    (502, "<" + "x" * 300, "Bad Gateway: <" + "x" * 199),
    (403, "<Error><Code>Expired</Code><Message>a &amp; b</Message><Key>k</Key></Error>", "Forbidden: Expired: a & b"),
    (400, "[1, 2]", "[1, 2]"),
    (400, '"text"', '"text"'),
    (400, "null", "null"),
    (400, b"\xff", "\ufffd"),
]


@each_row(("status", "body", "message"), SENTENCES, ids=lambda it: str(it)[:20])
def test_a_refusal_without_an_object_keeps_status_and_text(status: int, body: Any, message: str) -> None:
    error = error_of(CALL, reply(status, body))
    assert isinstance(error, ApiError)
    assert (status, status, message) == (error.status, error.error_code, error.message)
    assert {"status": "error", "errorCode": status, "message": message} == error.payload


def test_a_byte_order_mark_hides_no_refusal() -> None:
    error = error_of(CALL, reply(409, b'\xef\xbb\xbf{"message":"busy","errorCode":3}'))
    assert isinstance(error, ApiError)
    assert (error.message, error.error_code) == ("busy", 3)


def test_a_body_nested_without_end_is_still_a_refusal() -> None:
    error = error_of(CALL, reply(400, b"[" * 100_000))
    assert isinstance(error, ValidationError)


def test_an_account_that_cannot_pay() -> None:
    error = error_of(CALL, reply(400, {"message": "Insufficient balance", "errorCode": 123}))
    assert isinstance(error, InsufficientBalanceError)


# --- Retry-After


@each_row(
    ("header", "expected"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("007", 7),
        ("9007199254740991", 2**53 - 1),
        ("9007199254740992", None),
        ("9" * 5000, None),
        ("0" * 5000 + "5", 5),
        ("٣", None),
        ("1.5", None),
        ("-5", None),
        ("1e3", None),
        ("", None),
        ("soon", None),
        ("2026-06-01 12:00:05", None),
        ("Mon, 01 Jun 2026 12:00:05 GMT", 5),
        ("Mon, 01 Jun 2026 12:00:05 -0000", 5),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0),
        ("Mon, 01 Jun 2026 14:00:05 +0200", 5),
        ("Mon, 99 Jun 2026 12:00:05 GMT", None),
        ("abc 12:00:05", None),
    ],
    ids=lambda it: str(it)[:32],
)
def test_the_header(header: str, expected: float | None) -> None:
    assert expected == retry_after({}, {"retry-after": header}, NOW)


def test_parts_of_a_second_count_as_one() -> None:
    header = {"retry-after": "Mon, 01 Jun 2026 12:00:05 GMT"}
    assert retry_after({}, header, NOW + timedelta(milliseconds=1)) == 5


@each_row(
    ("given", "expected"),
    [
        (12, 12),
        (0, 0),
        (1.5, 1.5),
        (-1, 7),
        ("12", 7),
        (True, 7),
        (None, 7),
        (float("inf"), 7),
        (float("nan"), 7),
        (10**400, 7),
    ],
)
def test_the_body_outranks_the_header(given: Any, expected: float) -> None:
    assert expected == retry_after({"retryAfter": given}, {"retry-after": "7"}, NOW)


def test_without_either_there_is_no_hint() -> None:
    assert retry_after({}, {}, NOW) is None


def test_the_hint_reaches_the_error() -> None:
    answer = HttpReply(status=429, headers={"retry-after": "Mon, 01 Jun 2026 12:00:05 GMT"}, body=b"{}")
    error = error_of(CALL, answer, NOW)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 5


@given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,5} \d\d:\d\d:\d\d( .{0,6})?"))
def test_no_header_breaks_an_answer(header: str) -> None:
    seconds = retry_after({}, {"retry-after": header}, NOW)
    assert seconds is None or seconds >= 0


@given(st.integers(100, 599).filter(lambda status: not 200 <= status < 300), st.binary(max_size=60))
def test_any_refusal_keeps_its_status(status: int, body: bytes) -> None:
    error = error_of(CALL, reply(status, body))
    assert isinstance(error, ApiError)
    assert error.status == status


def test_a_date_to_wait_for_is_measured_from_the_date_of_the_answer() -> None:
    headers = {"retry-after": "Thu, 01 Jan 2099 00:00:07 GMT", "date": "Thu, 01 Jan 2099 00:00:00 GMT"}
    error = error_of(get("/x"), HttpReply(status=503, headers=headers))
    assert isinstance(error, ApiError)
    assert error.retry_after == 7
