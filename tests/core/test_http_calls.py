"""The way of one HTTP call: where it goes, who it says asks, and how long it may take."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.http import (
    HttpCall,
    Route,
    announced_too_long,
    check_proxy_reply,
    get,
    host_and_port,
    is_transfer,
    limit_of,
    max_bytes_of,
    max_transfers,
    no_connection,
    no_free_connection,
    no_response,
    phase_of,
    post,
    too_long,
    with_time_left,
)
from sogni.errors import ProtocolError, SogniConnectionError
from sogni.settings import MAX_REPLY_SIZE, Settings, Timeouts
from tests.tables import each_row

SETTINGS = Settings(rest_endpoint="https://rest.test", socket_endpoint="wss://socket.test")
SIGNED = "https://store.test/a%2Fb%7Ec d?s=%2B%3D+x"


def stored() -> HttpCall:
    return HttpCall(method="GET", path=SIGNED, host="storage")


def route(call: HttpCall | None = None) -> Route:
    return Route(call or get("/start"), SETTINGS)


@pytest.mark.parametrize(
    ("call", "url", "credentials"),
    [
        (get("/v1/x", a="b c"), "https://rest.test/v1/x?a=b+c", True),
        (get("v1/x"), "https://rest.test/v1/x", True),
        (get("@else.test/x"), "https://rest.test/@else.test/x", True),
        (get("/v1/x", host="socket"), "https://socket.test/v1/x", True),
        (stored(), "https://store.test/a%2Fb%7Ec%20d?s=%2B%3D+x", False),
        (get("/v1/\ud83d"), "https://rest.test/v1/%ED%A0%BD", True),
    ],
)
def test_a_call_goes_to_its_host_and_only_ours_learn_who_asks(call: HttpCall, url: str, credentials: bool) -> None:
    made = route(call)
    assert (made.url, made.with_credentials, made.method) == (url, credentials, "GET")


@pytest.mark.parametrize(("status", "location"), [(200, "/x"), (304, "/x"), (404, "/x"), (302, None), (302, "")])
def test_only_a_redirect_that_names_a_place_is_followed(status: int, location: str | None) -> None:
    assert not route().follow(status, location, streamed=False)


@pytest.mark.parametrize(
    ("location", "url", "credentials"),
    [
        ("/again?x=1", "https://rest.test/again?x=1", True),
        ("again", "https://rest.test/again", True),
        ("https://else.test/a b", "https://else.test/a%20b", False),
        ("//rest.test/x", "https://rest.test/x", True),
        ("http://rest.test/x", "http://rest.test/x", False),
    ],
)
def test_credentials_stay_at_their_origin(location: str, url: str, credentials: bool) -> None:
    made = route()
    assert made.follow(302, location, streamed=False)
    assert (made.url, made.with_credentials) == (url, credentials)


@pytest.mark.parametrize(
    ("status", "method"), [(301, "POST"), (302, "POST"), (303, "GET"), (307, "POST"), (308, "POST")]
)
def test_see_other_is_answered_with_a_get(status: int, method: str) -> None:
    made = route(post("/start", {}))
    assert made.follow(status, "/there", streamed=False)
    assert made.method == method


@pytest.mark.parametrize(
    ("call", "location", "streamed"),
    [
        (post("/start", {}), "https://else.test/x", False),
        (post("/start", {}), "http://rest.test/x", False),
        (get("/start"), "/there", True),
    ],
)
def test_a_body_goes_nowhere_else(call: HttpCall, location: str, streamed: bool) -> None:
    with pytest.raises(SogniConnectionError, match=r"rest\.test redirected a .* to another host; not followed"):
        route(call).follow(307, location, streamed=streamed)


def test_five_redirects_are_enough() -> None:
    made = route()
    assert [made.follow(302, "/again", streamed=False) for _ in range(5)] == [True] * 5
    with pytest.raises(SogniConnectionError, match=r"rest\.test redirected more than 5 times"):
        made.follow(302, "/again", streamed=False)


@pytest.mark.parametrize(
    "location", ["http://[half", "//[::1", "https://\u2100.test/", "ftp://x.test/", "http://x.test:99999/"]
)
def test_a_redirect_to_what_is_no_address_is_an_error_of_the_connection(location: str) -> None:
    with pytest.raises(SogniConnectionError, match="invalid URL"):
        route().follow(302, location, streamed=False)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://rest.test/x?token=1", "rest.test"),
        ("http://127.0.0.1:8/x", "127.0.0.1:8"),
        ("https://user:secret@rest.test/x", "rest.test"),
    ],
)
def test_a_message_names_host_and_port_only(url: str, host: str) -> None:
    assert host_and_port(url) == host


@each_row(
    "url", ["http://[::1", "//host/x", "/x", "", "javascript:alert(1)", "https:///x", "http://h:99999/", "file:///x"]
)
def test_a_url_that_cannot_be_fetched_is_an_error_of_the_protocol(url: str) -> None:
    with pytest.raises(ProtocolError, match="must start with https:// or http:// and name a host, got") as caught:
        Route(HttpCall(method="GET", path=f"{url}?X-Amz-Signature=5eec05d27b", host="storage"), SETTINGS)
    assert "5eec05d27b" not in str(caught.value)


def test_a_proxy_that_wants_a_login_is_no_answer_of_the_service() -> None:
    check_proxy_reply("https://rest.test/x", "", 407)
    check_proxy_reply("https://rest.test/x", " through the proxy p:1", 401)
    with pytest.raises(SogniConnectionError) as caught:
        check_proxy_reply("https://rest.test/x", " through the proxy p:1", 407)
    assert str(caught.value) == "cannot reach rest.test through the proxy p:1: the proxy answered with HTTP 407"


def test_a_call_that_wants_no_redirect_has_it_as_its_answer() -> None:
    call = HttpCall(method="GET", path=SIGNED, host="storage", redirects=False)
    assert Route(call, Settings()).follow(302, "https://elsewhere.test/", streamed=False) is False


@pytest.mark.parametrize(
    ("most", "length", "told"),
    [(10, "10", False), (10, "11", True), (10, "x", False), (10, None, False), (None, "99", False)],
)
def test_a_body_may_have_a_limit(most: int | None, length: str | None, told: bool) -> None:
    call = HttpCall(method="GET", path=SIGNED, host="storage", max_bytes=most)
    assert announced_too_long(call, length) is told


@pytest.mark.parametrize(
    ("call", "encoded", "most"),
    [
        (get("/x"), False, MAX_REPLY_SIZE),
        (get("/x"), True, MAX_REPLY_SIZE),
        (stored(), False, None),
        (stored(), True, MAX_REPLY_SIZE),
        (HttpCall(method="GET", path=SIGNED, host="storage", max_bytes=10), True, 10),
    ],
)
def test_every_body_in_memory_has_a_limit_save_media_as_it_is(call: HttpCall, encoded: bool, most: int | None) -> None:
    assert max_bytes_of(call, encoded=encoded) == most


def test_an_answer_that_is_too_long_says_so() -> None:
    assert str(too_long(get("/v1/x", token="1"), "https://rest.test/v1/x?token=1")) == (
        "GET rest.test/v1/x: the response must be at most 67108864 bytes once decompressed, got more"
    )


TIMEOUTS = Timeouts(connect=1, request=2, transfer=3)


@pytest.mark.parametrize(
    ("call", "limit", "phase"),
    [
        (get("/x"), 2, "request"),
        (stored(), 3, "transfer"),
        (HttpCall(method="GET", path="/x", timeout=9), 9, "request"),
    ],
)
def test_a_call_may_take_its_own_time_else_that_of_its_kind(call: HttpCall, limit: float, phase: Any) -> None:
    assert (limit_of(call, TIMEOUTS), phase_of(call)) == (limit, phase)


def test_errors_of_time_name_what_was_waited_for_and_nothing_secret() -> None:
    late, apart = no_response(stored(), SIGNED, 3), no_connection(SIGNED, 1)
    assert [late.phase, late.timeout, str(late)] == [
        "transfer", 3, "GET store.test/a%2Fb%7Ec d: no response within 3 seconds",
    ]  # fmt: skip
    assert [apart.phase, apart.timeout, str(apart)] == ["connect", 1, "cannot connect to store.test within 1 seconds"]


@pytest.mark.parametrize(("connections", "transfers"), [(1, 1), (2, 1), (3, 2), (4, 3), (20, 15)])
def test_transfers_leave_connections_for_short_requests(connections: int, transfers: int) -> None:
    assert max_transfers(connections) == transfers
    assert (is_transfer(stored()), is_transfer(get("/v1/x"))) == (True, False)


def test_a_time_limit_of_a_call_includes_the_wait_for_a_connection() -> None:
    call = HttpCall(method="GET", path="/v1/x?secret=1", timeout=3)
    assert [with_time_left(call, waited).timeout for waited in (1, 4)] == [2, 0]
    assert with_time_left(get("/v1/x"), 100) == get("/v1/x")
    error = no_free_connection(call, Settings(max_connections=2))
    assert (error.phase, error.timeout, error.message) == (
        "request",
        3,
        "GET /v1/x: all 2 connections were in use for 3 seconds; raise max_connections to allow more",
    )
