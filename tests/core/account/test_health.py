"""Proving that a client can work, without spending anything."""

from __future__ import annotations

from sogni.core.account.flows import check_health
from tests.core.play import TIMEOUT, Stage, ok, refused

ME = "GET rest/v1/account/me"
BALANCE = "GET rest/v4/account/balance"
SOCKET = "until the socket (connect, {} s)"
"""With what is left of 5 seconds."""


def test_everything_works() -> None:
    stage = Stage()
    report = stage.play(
        check_health(5),
        (ME, lambda stage: stage.passes(2) and ok({"username": "ann"})),
        (BALANCE, ok({"spark": {"net": "7"}, "sogni": {"net": "1.5"}})),
        (SOCKET.format(3), Stage.connects),
    )
    assert (report.ok, report.username, report.balance.spark.net) == (True, "ann", 7)  # type: ignore[union-attr]
    assert str(report).splitlines() == [
        "ok  credentials: signed in as ann",
        "ok  balance: 7 Spark, 1.5 Sogni",
        "ok  socket: connected and authenticated",
    ]
    assert [check.seconds for check in report.checks] == [2, 0, 0]


def test_what_fails_is_reported_and_the_rest_goes_on() -> None:
    report = Stage().play(
        check_health(5),
        (ME, refused(403, "blocked")),
        (BALANCE, lambda stage: stage.passes(3) and refused(404)),
        (SOCKET.format(2), TIMEOUT),
    )
    assert (report.ok, report.username, report.balance) == (False, None, None)
    assert [(check.name, check.ok, check.seconds) for check in report.checks] == [
        ("credentials", False, 0),
        ("balance", False, 3),
        ("socket", False, 0),
    ]
    assert [check.error for check in report.checks] == ["PermissionDeniedError", "NotFoundError", "SogniTimeoutError"]
    assert report.checks[0].detail == "blocked"


def test_a_client_without_socket_proves_none() -> None:
    report = Stage(disable_socket=True).play(check_health(None), (ME, ok({})), (BALANCE, ok({})))
    assert [check.name for check in report.checks] == ["credentials", "balance"]


def test_a_refused_key_fails_the_rest_too() -> None:
    report = Stage().play(check_health(5), (ME, refused(401)), (BALANCE, refused(401)))
    assert [check.error for check in report.checks] == ["AuthenticationError"] * 3
