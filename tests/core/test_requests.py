"""Retries of requests, and responses with status 401 (transport §4.4, §17)."""

from __future__ import annotations

import pytest

from sogni.core.http import HttpCall, HttpReply, get, post
from sogni.core.requests import (
    TEMPORARY_STATUSES,
    get_json,
    get_unwrapped_json,
    pause_before,
    request,
    request_data,
    request_done,
    request_model,
)
from sogni.errors import (
    ApiError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ServerError,
    SogniConnectionError,
    SogniTimeoutError,
)
from sogni.models.account import AccountInfo
from sogni.models.catalogue import SizePreset
from sogni.settings import Attribution, RetryPolicy
from tests.core.play import Stage, bare, ok, refused

READ = "GET rest/v1/thing"
THING = get("/v1/thing")


@pytest.mark.parametrize("status", sorted(TEMPORARY_STATUSES))
def test_a_read_is_sent_again_after_a_status_that_passes(status: int) -> None:
    reply = Stage().play(request(THING), (READ, refused(status)), ("pause 0.25 ±20%", None), (READ, ok({"a": 1})))
    assert reply.status == 200


@pytest.mark.parametrize("error", [SogniConnectionError("gone"), SogniTimeoutError("slow")])
def test_a_read_is_sent_again_after_a_broken_connection(error: Exception) -> None:
    assert Stage().play(request(THING), (READ, error), ("pause 0.25 ±20%", None), (READ, ok())).ok


def test_pauses_double_until_the_tries_are_over_and_the_last_answer_counts() -> None:
    error = Stage().fail(
        ServerError,
        request_data(THING),
        (READ, refused(503)),
        ("pause 0.25 ±20%", None),
        (READ, refused(503)),
        ("pause 0.5 ±20%", None),
        (READ, refused(503)),
        ("pause 1 ±20%", None),
        (READ, refused(502, "still down")),
    )
    assert (error.status, error.message) == (502, "still down")


def test_the_last_broken_connection_is_raised() -> None:
    stage = Stage(retry=RetryPolicy(attempts=2))
    last = SogniConnectionError("second")
    error = stage.fail(
        SogniConnectionError,
        request(THING),
        (READ, SogniConnectionError("first")),
        ("pause 0.25 ±20%", None),
        (READ, last),
    )
    assert error is last


def test_pauses_are_capped() -> None:
    assert pause_before(RetryPolicy(base=1, cap=5), 10) == 5


def test_what_could_be_done_twice_is_sent_once() -> None:
    Stage().fail(ServerError, request_data(post("/v1/thing")), ("POST rest/v1/thing", refused(503)))
    Stage().fail(SogniConnectionError, request_data(post("/v1/thing")), ("POST rest/v1/thing", SogniConnectionError()))


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_other_refusals_are_final(status: int) -> None:
    assert Stage().play(request(THING), (READ, refused(status))).status == status


def test_retry_after_outranks_our_pauses_and_is_never_cut_short() -> None:
    Stage().play(request(THING), (READ, refused(429, retry_after="7")), ("pause 7", None), (READ, ok()))
    Stage().play(request(THING), (READ, refused(503, retry_after="0")), ("pause 0", None), (READ, ok()))


def test_a_retry_after_beyond_the_longest_is_raised_at_once() -> None:
    error = Stage().fail(RateLimitError, request_data(THING), (READ, refused(429, retry_after="11")))
    assert error.retry_after == 11


def test_a_401_clears_the_credentials_and_is_not_sent_again() -> None:
    stage = Stage().connects()
    assert stage.play(request(THING), (READ, refused(401))).status == 401
    assert (stage.state.session.signed_in, stage.state.connection.phase, stage.told("updated")[-1]) == (
        False,
        "ended",
        False,
    )


def test_a_401_of_a_store_says_nothing_about_our_credentials() -> None:
    stage = Stage()
    call = HttpCall(method="GET", path="https://store/a", host="storage", repeatable=True)
    assert stage.play(request(call), ("GET https://store/a", refused(401))).status == 401
    assert stage.state.session.signed_in


def test_answers_are_read_bare_or_from_their_envelope() -> None:
    stage = Stage()
    assert stage.play(get_json(THING), (READ, bare([1]))) == [1]
    assert stage.play(request_data(THING), (READ, ok({"a": 1}))) == {"a": 1}
    assert stage.play(request_model(AccountInfo, THING), (READ, ok({"username": "ann"}))).username == "ann"
    preset = {"id": "square", "width": 512, "height": 256}
    assert stage.play(get_unwrapped_json(SizePreset, THING), (READ, bare(preset))).height == 256


def test_an_answer_nobody_can_read_is_a_protocol_error() -> None:
    Stage().fail(ProtocolError, request_data(THING), (READ, bare({"status": "success"})))
    Stage().fail(NotFoundError, get_json(THING), (READ, refused(404)))


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_refusal_that_quotes_the_key_does_not_show_it(status: int) -> None:
    stage, key = Stage(api_key="the key of ada"), "the key of ada"
    quoting = HttpReply(status=status, body=f'{{"message":"{key} is bad","details":{{"k":"{key}"}}}}'.encode())
    error = stage.fail(ApiError, request_done(post("/v1/thing")), ("POST rest/v1/thing", quoting))
    assert (error.message, key in repr(vars(error))) == ("*** is bad", False)


def test_a_refusal_shows_no_key_that_was_given_up_meanwhile() -> None:
    stage, key = Stage(api_key="the key of ada"), "the key of ada"

    def given_up(stage: Stage) -> HttpReply:
        stage.state.session.sign_out()
        return HttpReply(status=401, body=key.encode())

    error = stage.fail(ApiError, request_done(post("/v1/thing")), ("POST rest/v1/thing", given_up))
    assert error.message == "***"


@pytest.mark.parametrize(("operation", "told"), [("", "ID-1"), ("run-7", "run-7")])
def test_what_asks_is_told_where_the_service_takes_it(operation: str, told: str) -> None:
    """transport §14."""
    stage = Stage(attribution=Attribution(workload_kind="direct"))
    call = post("/v1/thing", headers={"Idempotency-Key": "k"}, operation=operation)
    stage.play(request(call), ("POST rest/v1/thing", ok()))
    stage.play(request(THING), (READ, ok()))
    asked, plain = [it.headers for it in stage.calls]
    assert (asked["X-Sogni-Operation-Id"], asked["Idempotency-Key"], plain) == (told, "k", {})


def test_a_call_says_itself_what_asks() -> None:
    """transport §14."""
    stage = Stage()
    call = post("/v1/thing", operation="run-7", attribution=Attribution(workload_kind="direct"))
    stage.play(request(call), ("POST rest/v1/thing", ok()))
    assert stage.calls[0].headers["X-Sogni-Workload-Kind"] == "direct"
