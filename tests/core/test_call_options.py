"""Options for some of the calls of a client."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core import flow as steps
from sogni.core.call_options import OptionedEngine, check_call_options
from sogni.core.flow import Flow, http, retry_policy, together
from sogni.core.http import HttpCall, HttpReply, get, post
from sogni.core.requests import request
from sogni.errors import SogniConnectionError, ValidationError
from sogni.models.connection import RawReply
from sogni.settings import RetryPolicy, Timeouts
from tests.core.play import Stage, ok, refused


def first(flow: Flow[Any]) -> Any:
    """The first step of a flow."""
    return next(flow)


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [(None, None, None), (None, 7, 7), (5, 7, 5), (9, 7, 7), (None, Timeouts(request=4), 4)],
)
def test_a_limit_that_a_call_has_is_kept_if_it_is_shorter(own: Any, given: Any, expected: Any) -> None:
    options = check_call_options(given, None, None)
    assert first(options.run(http(HttpCall(method="GET", path="/", timeout=own)))).call.timeout == expected


def test_storage_gets_the_limit_of_transfers_and_no_headers() -> None:
    options = check_call_options(Timeouts(transfer=11), {"X-Trace": "1"}, None)
    call = HttpCall(method="GET", path="https://storage/file", host="storage", headers={"Range": "bytes=0-"})
    applied = options.apply(call)
    assert (applied.timeout, applied.headers) == (11, {"Range": "bytes=0-"})


def test_headers_are_sent_beside_those_of_the_call() -> None:
    options = check_call_options(None, {"X-Trace": "1"}, None)
    assert options.apply(post("/", headers={"Idempotency-Key": "k"})).headers == {
        "X-Trace": "1",
        "Idempotency-Key": "k",
    }


def test_a_header_of_the_call_replaces_one_in_another_case() -> None:
    options = check_call_options(None, {"x-trace": "1", "X-Other": "2"}, None)
    assert options.apply(get("/")).headers == {"x-trace": "1", "X-Other": "2"}
    assert options.apply(HttpCall(method="GET", path="/", headers={"X-Trace": "3"})).headers == {
        "X-Other": "2",
        "X-Trace": "3",
    }


def test_raw_replies() -> None:
    seen: list[RawReply] = []

    def observe(reply: RawReply) -> None:
        seen.append(reply)
        raise RuntimeError("logged by the driver")

    def calls() -> Flow[Any]:
        yield from http(HttpCall(method="GET", path="https://storage/file?signature=x", host="storage"))
        return (yield from request(get("/v1/a")))

    good = HttpReply(
        status=200, headers={"set-cookie": "secret"}, body=b'{"a": 1}', url="https://x.com/v1/a?key=secret"
    )
    reply = Stage().play(
        check_call_options(None, None, None, observe).run(calls()),
        ("GET https://storage/file?signature=x", ok()),
        ("GET rest/v1/a", refused(503)),
        ("pause 0.25 ±20%", None),
        ("GET rest/v1/a", good),
    )
    assert reply is good
    assert [it.status for it in seen] == [503, 200]
    assert (seen[1].headers, seen[1].json()) == ({"set-cookie": "secret"}, {"a": 1})
    assert repr(seen[1]) == "RawReply(method='GET', url='https://x.com/v1/a', status=200, body=<8 bytes>)"


def test_retries() -> None:
    once = check_call_options(None, None, RetryPolicy(attempts=1))
    reply = Stage().play(once.run(request(get("/v1/a"))), ("GET rest/v1/a", refused(503)))
    assert reply.status == 503
    usual = check_call_options(1, None, None)
    assert (
        Stage()
        .play(
            usual.run(request(get("/v1/a"))),
            ("GET rest/v1/a", refused(503)),
            ("pause 0.25 ±20%", None),
            ("GET rest/v1/a", ok()),
        )
        .ok
    )
    assert Stage().play(once.run(retry_policy())).attempts == 1


def test_flows_that_run_together_have_the_options_too() -> None:
    options = check_call_options(3, None, None)
    step = first(options.run(together([http(get("/v1/a"))])))
    assert first(step.flows[0]).call.timeout == 3


def test_errors_reach_the_flow() -> None:
    def careful() -> Flow[str]:
        try:
            yield from http(get("/v1/a"))
        except SogniConnectionError:
            yield from steps.clock()
            return "caught"
        return "not raised"

    options = check_call_options(3, None, None)
    assert Stage().play(options.run(careful()), ("GET rest/v1/a", SogniConnectionError("down"))) == "caught"
    with pytest.raises(SogniConnectionError, match="down"):
        Stage().play(options.run(http(get("/v1/a"))), ("GET rest/v1/a", SogniConnectionError("down")))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((-1, None, None), "timeout must be"),
        ((None, ["X"], None), "headers must be a mapping of names to strings"),
        ((None, {"Cookie": "a=b"}, None), "headers must be headers that the client does not set itself, got 'Cookie'"),
        ((None, {"X-A": "b\r\nc"}, None), r"headers\['X-A'\] must be"),
        ((None, {"X-A": 3}, None), r"headers\['X-A'\] must be"),
        ((None, None, 3), "retry must be a RetryPolicy"),
        ((None, None, None, "print"), "on_reply must be a function, got 'print'"),
    ],
)
def test_invalid_options(given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        check_call_options(*given)


def test_everything_else_is_the_engine_s_own() -> None:
    class Engine:
        state = "state"

        def run(self, flow: Flow[Any]) -> Any:
            return first(flow).call.timeout

    view = OptionedEngine(Engine(), check_call_options(3, None, None))
    assert (view.run(http(get("/v1/a"))), view.state) == (3, "state")
