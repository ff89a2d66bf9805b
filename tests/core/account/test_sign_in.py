"""Signing in, restoring and refreshing (account §4; transport §5.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from sogni.core import outbox
from sogni.core.account.flows import fetch_account, refresh_balance
from sogni.core.account.sign_in import authenticate, check_auth, create_account, login, logout, set_tokens, wallet_of
from sogni.core.account.wallet import derive
from sogni.core.background import flow_of
from sogni.core.http import HttpCall, HttpReply, get
from sogni.core.outbox import Listeners
from sogni.core.requests import ensure_fresh_credentials, request
from sogni.errors import (
    AuthenticationError,
    ProtocolError,
    ServerError,
    SogniConnectionError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.models.account import TokenPair
from tests.core.play import NOW, Stage, ok, refused
from tests.core.test_credentials import token

NONCE = ("POST rest/v1/account/nonce", ok({"nonce": "n"}))
LOGIN = "POST rest/v1/account/login"
ME = ("GET rest/v1/account/me", ok({"username": "ada", "walletAddress": "0x1"}))
REFRESH = "POST rest/v1/account/refresh-token"
WAIT = "until a new access token (request, for ever)"
FRESH, STALE, LASTING = token(NOW + 60), token(NOW - 1), token(NOW + 9999)
PAIR = {"token": FRESH, "refreshToken": LASTING}
WALLET = derive("Ada", "pw")


def stage_of(kind: str = "token", **settings: Any) -> Stage:
    return Stage(**{"api_key": None, "auth_type": kind, **settings})


def signed_in(access: str | None = FRESH) -> Stage:
    stage = stage_of()
    stage.state.session.credentials.use_tokens(access, LASTING)
    return stage


def exchanged(answer: Any) -> tuple[str, Any]:
    """What happens while somebody waits for a new token: the task that was begun runs."""

    def run(stage: Stage) -> None:
        (task,) = [it for it in stage.begun if isinstance(it, outbox.RefreshTokens)]
        assert task.urgent
        try:
            stage.play_inside(flow_of(task), (REFRESH, answer))
        except RuntimeError:
            return

    return WAIT, run


def sign(stage: Stage, answer: Any, **options: Any) -> Any:
    given = {"remember_me": False, "app_source": None, **options}
    return stage.play(login("Ada", "pw", **given), NONCE, (LOGIN, answer))


def test_signing_in_keeps_tokens_and_says_so() -> None:
    stage = stage_of()
    session = sign(stage, ok({**PAIR, "username": "ada"}))
    assert (session.username, session.wallet_address, session.tokens) == (
        "ada",
        WALLET.address,
        TokenPair(token=FRESH, refresh_token=LASTING),
    )
    assert (stage.told("updated")[0], stage.begun) == (True, [outbox.FetchAccount()])
    sign(stage, ok(PAIR))
    assert (stage.state.account.username, stage.begun) == ("Ada", [])


def test_under_a_key_nothing_is_kept() -> None:
    stage = Stage()
    assert sign(stage, ok(PAIR)).tokens is not None
    assert (stage.state.session.credentials.backup(), stage.state.account.username) == ("key", None)


def test_cookies_need_no_tokens_and_tokens_do() -> None:
    stage = stage_of("cookies")
    assert (sign(stage, ok({})).tokens, stage.state.session.signed_in) == (None, True)
    stage = stage_of()
    answer = (LOGIN, ok("text"))
    stage.fail(ProtocolError, login("Ada", "pw", remember_me=True, app_source=None), NONCE, answer)
    assert not stage.state.session.signed_in


def test_somebody_else_gets_another_socket() -> None:
    stage = signed_in().connects()
    stage.state.account.change(wallet_address="0xother")
    sign(stage, ok({"token": token(NOW + 60, addr=WALLET.address), "refreshToken": LASTING}))
    assert (stage.state.connection.phase, stage.state.account.wallet_address) == ("ended", WALLET.address)


@pytest.mark.parametrize("answer", [refused(401), refused(500), ok("rubbish")])
def test_a_session_that_is_over_does_not_keep_anybody_from_signing_in(answer: Any) -> None:
    stage = signed_in(STALE)
    flow = login("Ada", "pw", remember_me=False, app_source=None)
    stage.play(flow, exchanged(answer), NONCE, (LOGIN, ok(PAIR)))
    assert [it for it in stage.told("updated") if isinstance(it, bool)] == [False, True]


@pytest.mark.parametrize("kind", ["token", "api_key"])
def test_a_wrong_password_says_nothing_of_who_is_signed_in(kind: str) -> None:
    stage = signed_in() if kind == "token" else Stage()
    stage.fail(
        AuthenticationError, login("Ada", "pw", remember_me=False, app_source=None), NONCE, (LOGIN, refused(401))
    )
    assert stage.state.session.signed_in


def test_signing_in_fails_when_nobody_can_be_reached() -> None:
    stage = signed_in(STALE)
    flow = login("Ada", "pw", remember_me=False, app_source=None)
    stage.fail(SogniConnectionError, flow, exchanged(SogniConnectionError("gone")))
    assert stage.state.session.signed_in


@pytest.mark.parametrize("access", [token(NOW - 1, addr="0xNew"), None])
def test_a_pair_of_somebody_else_gets_another_socket_even_when_it_is_to_be_exchanged(access: str | None) -> None:
    stage = signed_in().connects()
    stage.state.account.change(wallet_address="0xother", username="bob")
    session = stage.state.session.generation
    new = {"token": token(NOW + 60, addr="0xNew"), "refreshToken": LASTING}
    stage.play(authenticate({"token": access, "refreshToken": token(NOW + 99)}), exchanged(ok(new)))
    assert (stage.state.connection.phase, stage.state.account.username) == ("ended", None)
    assert (stage.state.session.generation > session, stage.begun) == (True, [outbox.FetchAccount()])


def test_a_pair_whose_exchange_failed_can_be_given_again() -> None:
    stage, stored = stage_of(), {"token": STALE, "refreshToken": LASTING}
    stage.fail(SogniConnectionError, authenticate(stored), exchanged(SogniConnectionError("gone")))
    stage.play(authenticate(stored), exchanged(ok(PAIR)))
    assert (stage.told("updated"), stage.begun) == ([True], [outbox.FetchAccount()])
    stage.play(authenticate(PAIR))
    assert (stage.told("updated"), stage.begun) == ([True], [])


def test_a_pair_of_the_same_account_leaves_its_socket_alone() -> None:
    stage = signed_in().connects()
    stage.state.account.change(wallet_address="0xada")
    new = {"token": token(NOW + 60, addr="0xADA"), "refreshToken": LASTING}
    stage.play(set_tokens(token(NOW - 1, addr="0xAdA"), token(NOW + 99)), exchanged(ok(new)), ME)
    assert stage.state.connection.phase == "ready"


def test_a_refresh_token_alone_may_be_somebody_elses_until_it_is_exchanged() -> None:
    """Nothing is asked of the old socket meanwhile."""
    stage = signed_in().connects()
    stage.state.account.change(wallet_address="0xada")
    stage.fail(SogniConnectionError, set_tokens(None, token(NOW + 99)), exchanged(SogniConnectionError("gone")))
    assert (stage.state.connection.phase, stage.state.account.wallet_address) == ("ended", None)


def test_a_refresh_of_ones_own_pair_leaves_its_socket_alone() -> None:
    """Whatever the service writes there: it was the same before."""
    stage = signed_in(token(NOW - 1, addr="0xa contract")).connects()
    stage.state.account.change(wallet_address="0xada")
    stage.play(
        ensure_fresh_credentials(),
        exchanged(ok({"token": token(NOW + 60, addr="0xa contract"), "refreshToken": LASTING})),
    )
    assert stage.state.connection.phase == "ready"


def test_another_key_gets_another_socket() -> None:
    stage = Stage().connects()
    stage.state.account.change(wallet_address="0xother")
    stage.play(authenticate("other"))
    assert (stage.state.connection.phase, stage.state.account.wallet_address) == ("ended", None)


def test_cookies_of_somebody_else_are_another_session() -> None:
    stage = stage_of("cookies")
    stage.play(check_auth(), ME)
    stage.connects()
    sign(stage, ok({}))
    assert (stage.state.connection.phase, stage.state.account.wallet_address) == ("ended", WALLET.address)
    assert stage.told("updated").count(True) == 2


def test_an_answer_about_who_was_signed_in_before_is_not_kept() -> None:
    stage = signed_in()

    def signed_out(stage: Stage) -> Any:
        stage.state.session.sign_out()
        return ok({"username": "ada", "spark": {"net": "5"}})

    assert stage.play(fetch_account(), ("GET rest/v1/account/me", signed_out)).username == "ada"
    stage.state.session.credentials.use_tokens(FRESH, LASTING)
    stage.play(refresh_balance(), ("GET rest/v4/account/balance", signed_out))
    assert (stage.state.account.username, stage.state.account.balance.spark.net) == (None, 0)


def test_signing_out_does_not_end_the_session_of_whom_comes_meanwhile() -> None:
    stage = signed_in()

    def another(stage: Stage) -> Any:
        stage.state.session.credentials.use_tokens(FRESH, token(NOW + 77))
        stage.state.session.signed_in_as()
        return ok()

    stage.play(logout(), ("POST rest/v1/account/logout", another))
    assert stage.state.session.signed_in


def test_what_cannot_sign_in_is_refused_before_anything_is_sent() -> None:
    for flow in (
        login("", "pw", remember_me=False, app_source=None),
        login("Ada", "", remember_me=False, app_source=None),
        login("Ada", "pw", remember_me=False, app_source=5),  # type: ignore[arg-type]
        wallet_of("Ada", None),  # type: ignore[arg-type]
    ):
        stage_of().fail(ValidationError, flow)
    flow = login("Ada", "pw", remember_me=False, app_source=None)
    stage_of().fail(ProtocolError, flow, ("POST rest/v1/account/nonce", ok({})))


@pytest.mark.parametrize(("referral", "source"), [(None, None), ("REF", " app ")])
def test_an_account_is_made_and_signed_in(referral: str | None, source: str | None) -> None:
    stage = stage_of(app_source="usual")
    flow = create_account(
        username="Ada",
        email="a@b.test",
        password="pw",
        turnstile_token="t",
        subscribe=True,
        referral_code=referral,
        remember_me=False,
        app_source=source,
    )
    assert stage.play(flow, NONCE, ("POST rest/v1/account/create", ok(PAIR))).username == "Ada"
    assert stage.state.session.signed_in


@pytest.mark.parametrize(("answer", "gone"), [(ok(), True), (refused(401), True), (refused(500), False)])
def test_signing_out_is_over_unless_the_service_could_not_be_told(answer: Any, gone: bool) -> None:
    stage = signed_in()
    script = ("POST rest/v1/account/logout", answer)
    if gone:
        stage.play(logout(), script)
    else:
        stage.fail(ServerError, logout(), script)
    assert stage.state.session.signed_in is not gone


def test_tokens_are_taken_as_they_are_while_the_access_token_lasts() -> None:
    stage = stage_of()
    stage.play(set_tokens(FRESH, LASTING), ME)
    assert (stage.state.account.username, stage.told("updated")[0]) == ("ada", True)
    stage.fail(AuthenticationError, set_tokens(STALE, token(NOW - 1)))
    assert stage.state.session.signed_in
    stage.fail(ValidationError, set_tokens("abc", "def"))
    Stage().fail(ValidationError, set_tokens(FRESH, LASTING))


@pytest.mark.parametrize("access", [STALE, None])
def test_an_expired_access_token_is_exchanged_at_once(access: str | None) -> None:
    stage = stage_of()
    stage.play(set_tokens(access, LASTING), exchanged(ok(PAIR)), ME)
    assert stage.state.session.credentials.backup() == TokenPair(token=FRESH, refresh_token=LASTING)


def test_an_expired_access_token_alone_is_refused() -> None:
    stage = stage_of()
    stage.fail(AuthenticationError, set_tokens(STALE, None))
    assert not stage.state.session.signed_in


def test_a_rejection_of_no_credentials_changes_nothing() -> None:
    session = stage_of().state.session
    before = session.generation
    session.rejected_by_socket()
    assert session.generation == before


def test_each_kind_restores_its_own() -> None:
    tokens, key, cookies = stage_of(), Stage(), stage_of("cookies")
    tokens.play(authenticate(PAIR))
    key.play(authenticate("other"))
    key.play(authenticate("other"))
    cookies.play(authenticate(None))
    assert [it.state.session.signed_in for it in (tokens, key, cookies)] == [True] * 3
    assert key.told("updated").count(True) == 1


def test_cookies_are_good_when_the_service_knows_them() -> None:
    stage = stage_of("cookies")
    assert stage.play(check_auth(), ("GET rest/v1/account/me", refused(401))) is False
    assert [stage.play(check_auth(), ME), stage.play(check_auth(), ME)] == [True, True]
    assert (stage.state.account.username, stage.told("updated").count(True)) == ("ada", 1)
    stage_of().fail(ValidationError, check_auth())


@pytest.mark.parametrize("again", [False, True])
def test_cookies_that_were_given_up_while_they_were_asked_after_are_not_good(again: bool) -> None:
    stage = stage_of("cookies")
    stage.state.session.credentials.use_cookies()

    def signed_out(stage: Stage) -> Any:
        stage.state.session.sign_out()
        if again:
            stage.state.session.accept_cookies(None)
        return ok({"username": "ada", "walletAddress": "0x1"})

    assert stage.play(check_auth(), ("GET rest/v1/account/me", signed_out)) is again
    assert (stage.state.session.signed_in, stage.state.account.username) == (again, None)


# -- refreshing ----------------------------------------------------------------


def test_everybody_waits_for_one_exchange() -> None:
    stage = signed_in(STALE)
    one, two = (stage.state.session.begin_refresh(NOW) for _ in range(2))
    assert (one is two, len(stage.begun)) == (True, 1)
    assert one is not None
    stage.play(flow_of(outbox.RefreshTokens(one)), (REFRESH, ok(PAIR)))
    assert stage.play(ensure_fresh_credentials()) == stage.state.session.credentials.generation


def test_a_new_token_that_seems_to_be_over_is_used_all_the_same() -> None:
    """The clock of this machine may be ahead."""
    stage = signed_in(STALE)
    another = exchanged(ok({"token": STALE, "refreshToken": token(NOW + 77)}))
    assert stage.play(ensure_fresh_credentials(), another) == stage.state.session.credentials.generation
    # Nor is it exchanged before the next request.
    assert stage.play(ensure_fresh_credentials()) == stage.state.session.credentials.generation
    stage.passes(61)
    same = exchanged(ok({"token": STALE, "refreshToken": token(NOW + 77)}))
    assert stage.play(ensure_fresh_credentials(), same) == stage.state.session.credentials.generation


DAY = 24 * 3600.0


@pytest.mark.parametrize("wrong", [DAY, -DAY])
def test_expiry_is_judged_by_the_date_of_an_answer(wrong: float) -> None:
    """The client's clock says `NOW`; the service says something else."""
    stage = stage_of()
    stage.state.session.credentials.use_tokens(token(NOW + wrong + 100), token(NOW + 2 * DAY))
    stage.state.session.set_service_date(NOW + wrong, stage.now)
    assert stage.play(ensure_fresh_credentials()) == stage.state.session.credentials.generation
    stage.passes(101)
    assert stage.play(ensure_fresh_credentials(), exchanged(ok(PAIR))) == stage.state.session.credentials.generation


def test_every_answer_says_what_time_it_is() -> None:
    stage = signed_in(token(NOW - DAY + 100))
    dated = HttpReply(status=200, headers={"date": format_datetime(datetime.fromtimestamp(NOW - DAY, UTC))})
    stage.play(request(HttpCall(method="GET", path="/v1/free", anonymous=True)), ("GET rest/v1/free", dated))
    assert stage.play(ensure_fresh_credentials()) == stage.state.session.credentials.generation


def test_a_session_is_over_only_when_every_clock_says_so() -> None:
    stage = signed_in(STALE)
    stage.state.session.set_service_date(stage.now, stage.now)
    stage.state.out.epoch += 400 * DAY  # the clock was set
    assert stage.state.authenticated(stage.now, stage.now + 400 * DAY)
    assert stage.play(ensure_fresh_credentials(), exchanged(ok(PAIR))) == stage.state.session.credentials.generation


def test_who_signs_in_during_an_exchange_needs_one_of_their_own() -> None:
    stage = signed_in(STALE)

    def another(stage: Stage) -> None:
        (task,) = stage.begun
        stage.state.session.credentials.clear()
        stage.state.session.credentials.use_tokens(STALE, token(NOW + 88))
        stage.play_inside(flow_of(task), (REFRESH, ok(PAIR)))

    assert (
        stage.play(ensure_fresh_credentials(), (WAIT, another), exchanged(ok(PAIR)))
        == stage.state.session.credentials.generation
    )
    assert stage.state.session.credentials.headers() == {"Authorization": FRESH}


@pytest.mark.parametrize(
    ("answer", "kind", "kept"),
    [
        (SogniConnectionError("gone"), SogniConnectionError, True),
        (SogniTimeoutError("slow"), SogniTimeoutError, True),
        (RuntimeError("a mistake of ours"), SogniConnectionError, True),
        (refused(401), AuthenticationError, False),
        (refused(500), ServerError, False),
        (ok("rubbish"), ProtocolError, False),
        (ok({"token": FRESH}), ProtocolError, False),
    ],
)
def test_what_an_exchange_that_fails_leaves(answer: Any, kind: type[Exception], kept: bool) -> None:
    stage = signed_in(STALE)
    error = stage.fail(kind, ensure_fresh_credentials(), exchanged(answer))
    assert stage.state.session.signed_in is kept
    assert error.__cause__ == error
    assert stage.told("updated") == ([] if kept else [{"network"}, False])


def test_a_refresh_token_that_is_over_is_not_sent() -> None:
    stage = stage_of()
    stage.state.session.credentials.use_tokens(STALE, token(NOW - 1))

    def run(stage: Stage) -> None:
        (task,) = stage.begun
        stage.play_inside(flow_of(task))

    stage.fail(AuthenticationError, ensure_fresh_credentials(), (WAIT, run))
    assert not stage.state.session.signed_in


def test_a_token_that_was_lent_to_a_child_is_not_exchanged() -> None:
    child, heard = stage_of(), Listeners()
    before = signed_in(STALE).state
    before.session.listeners = heard
    child.state.session.take_over(before.session, forked=True)
    error = child.fail(AuthenticationError, request(get("/v1/thing")))
    assert ("after a fork" in error.message, child.state.session.signed_in, child.state.session.listeners is heard) == (
        *(True, False, False),
    )
    later = stage_of()
    later.state.session.take_over(before.session, forked=False)
    assert (later.state.session.credentials.needs_refresh(NOW), later.state.session.listeners is heard) == (True, True)


def test_a_pair_that_comes_after_signing_out_is_dropped() -> None:
    stage = signed_in(STALE)
    refresh = stage.state.session.begin_refresh(NOW)
    assert refresh is not None
    stage.state.session.sign_out()
    stage.play(flow_of(outbox.RefreshTokens(refresh)), (REFRESH, ok(PAIR)))
    assert not stage.state.session.signed_in


def test_a_401_to_older_credentials_says_nothing_of_the_present_ones() -> None:
    stage = signed_in()

    def meanwhile(stage: Stage) -> Any:
        stage.state.session.credentials.use_tokens(FRESH, token(NOW + 77))
        return refused(401)

    stage.play(request(get("/v1/thing")), ("GET rest/v1/thing", meanwhile))
    assert stage.state.session.signed_in
