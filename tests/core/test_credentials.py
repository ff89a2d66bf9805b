"""Credentials: reading tokens, signing in, refreshing and signing out (transport §5)."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from typing import Any

import pytest

from sogni.core.credentials import (
    Credentials,
    address_of,
    check_pair,
    claims_of,
    is_fresh,
    is_token,
    read_key,
    read_pair,
    signed_out_error,
)
from sogni.errors import AuthenticationError, ValidationError
from sogni.models.account import Session, TokenPair, Wallet
from sogni.models.converter import to_dict
from tests.tables import each_row

NOW = 1000.0


def token(end: Any = NOW + 1, **claims: Any) -> str:
    """A token whose claims can be read."""
    body = base64.urlsafe_b64encode(json.dumps({"exp": end, **claims}).encode()).decode().rstrip("=")
    return f"head.{body}.sign"


def array_token() -> str:
    return f"a.{base64.urlsafe_b64encode(b'[1]').decode()}.b"


@pytest.mark.parametrize("text", ["", "a.b", "a.!!!!.c", "a.e30.c.d", "a.YQ.c", array_token(), "é.é.é"])
def test_what_is_no_token(text: str) -> None:
    assert (claims_of(text), is_token(text), is_fresh(text, NOW), address_of(text)) == (None, False, False, None)


@pytest.mark.parametrize(
    ("end", "fresh"), [(NOW, False), (NOW + 0.1, True), (NOW - 1, False), (None, True), (True, True), ("soon", True)]
)
def test_a_token_serves_until_its_end_and_for_ever_without_one(end: Any, fresh: bool) -> None:
    assert is_fresh(token(end), NOW) is fresh


def test_a_token_names_its_wallet_or_does_not() -> None:
    assert (address_of(token(addr="0x1")), address_of(token(addr=5)), address_of(None)) == ("0x1", None, None)


def test_each_kind_has_its_header() -> None:
    key, tokens, cookies = Credentials("api_key", "k"), Credentials("token"), Credentials("cookies")
    tokens.use_tokens("access", token())
    cookies.use_cookies()
    assert [it.headers() for it in (key, tokens, cookies)] == [{"api-key": "k"}, {"Authorization": "access"}, {}]
    assert [it.present for it in (key, tokens, cookies)] == [True] * 3
    assert Credentials("token").headers() == {}


def test_only_another_identity_is_a_change_and_a_new_turn() -> None:
    found = Credentials("token")
    pair = (token(), token(NOW + 9))
    assert [found.use_tokens(*pair), found.use_tokens(*pair), found.generation] == [True, False, 1]
    assert [found.clear(lost=True), found.clear(lost=True), found.lost, found.generation] == [True, False, True, 2]
    assert (found.use_tokens(*pair), found.lost) == (True, False)
    assert Credentials("cookies").use_cookies()
    assert Credentials("api_key", "k").use_key("other")


def test_tokens_sign_in_as_long_as_the_refresh_token_lasts() -> None:
    found = Credentials("token")
    found.use_tokens(token(NOW - 1), token(NOW + 1))
    assert [found.authenticated(NOW), found.authenticated(NOW + 2)] == [True, False]
    assert [found.needs_refresh(NOW), found.refresh_expired(NOW), found.refresh_expired(NOW + 2)] == [True, False, True]
    assert Credentials("api_key", "k").authenticated(NOW)
    assert not Credentials("api_key", "k").needs_refresh(NOW)


def test_one_refresh_is_shared_until_it_is_over_or_another_signs_in() -> None:
    found = Credentials("token")
    found.use_tokens(None, token())
    first, new = found.begin_refresh()
    assert (new, found.begin_refresh()) == (True, (first, False))
    first.finished = True
    second, new = found.begin_refresh()
    assert (new, second is first) == (True, False)
    found.use_tokens(None, token(NOW + 5))
    assert found.begin_refresh()[0] is not second


def test_a_backup_is_what_authenticate_takes() -> None:
    tokens = Credentials("token")
    assert (tokens.backup(), Credentials("api_key", "k").backup()) == (None, "k")
    tokens.use_tokens(None, token())
    assert tokens.backup() is None
    tokens.use_tokens(token(), token(NOW + 5))
    pair = tokens.backup()
    assert isinstance(pair, TokenPair)
    assert read_pair(pair) == read_pair(to_dict(pair)) == (pair.token, pair.refresh_token)
    assert read_pair({"token": pair.token, "refresh_token": pair.refresh_token}) == read_pair(pair)
    with pytest.raises(ValidationError):
        Credentials("cookies").backup()


def test_another_loop_goes_on_with_everything_and_a_forked_child_without_the_refresh_token() -> None:
    before = Credentials("token")
    before.use_tokens(token(), token(NOW + 9))
    here, child = Credentials("token"), Credentials("token")
    here.take_over(before, forked=False)
    child.take_over(before, forked=True)
    assert (here.backup(), child.backup()) == (before.backup(), None)
    assert child.headers() == before.headers()
    assert [child.present, child.authenticated(NOW), child.needs_refresh(NOW), child.access_token_expired(NOW)] == [
        *(True, True, False, False)
    ]
    assert [child.authenticated(NOW + 2), child.needs_refresh(NOW + 2), child.access_token_expired(NOW + 2)] == [
        *(False, False, True)
    ]
    assert [here.authenticated(NOW + 2), here.access_token_expired(NOW + 2)] == [True, False]
    assert child.use_tokens(token(), token())
    assert child.backup() is not None


def test_a_key_goes_on_and_comes_back() -> None:
    before, after, refused = Credentials("api_key", "k"), Credentials("api_key", "k"), Credentials("api_key", "k")
    before.use_key("other")
    after.take_over(before, forked=True)
    before.clear(lost=True)
    refused.take_over(before, forked=False)
    assert (after.headers(), refused.headers()) == ({"api-key": "other"}, {"api-key": "k"})


@each_row(
    "value",
    [
        *(None, "text", {}, {"token": "x", "refreshToken": token()}, {"refreshToken": 5}),
        {"token": token()},
        {"refreshToken": "head\n" + token()},
        {"token": "é" + token(), "refreshToken": token()},
        TokenPair(token="x", refresh_token="y"),
    ],
)
def test_what_is_no_pair_is_refused_without_being_shown(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        read_pair(value)
    assert caught.value.value is None


def test_an_access_token_may_be_missing_and_a_key_may_not_be_empty() -> None:
    assert check_pair("", token()) == (None, token())
    assert read_key(" k ") == "k"
    for wrong in (None, "  ", 5, "k\r\nx: y", "kéy"):
        with pytest.raises(ValidationError):
            read_key(wrong)


def test_the_line_break_of_a_file_is_no_part_of_a_token() -> None:
    assert check_pair(f"{token()}\n", f" {token(NOW + 2)}\r\n") == (token(), token(NOW + 2))


def test_the_error_of_who_is_not_signed_in_says_why() -> None:
    lost = Credentials("token")
    lost.use_tokens(token(), token())
    lost.clear(lost=True)
    words = [
        str(signed_out_error(Credentials("api_key"), had_key=True)),
        str(signed_out_error(lost, had_key=False)),
        str(signed_out_error(Credentials("token"), had_key=False)),
    ]
    assert ["API key" in words[0], "session is over" in words[1], "login" in words[2]] == [True] * 3
    assert isinstance(signed_out_error(lost, had_key=False), AuthenticationError)


def test_secrets_are_neither_shown_nor_pickled() -> None:
    pair = TokenPair(token="secret-1", refresh_token="secret-2")
    wallet = Wallet(address="0x1", private_key="secret-3")
    found = Credentials("api_key", "secret-4")
    shown = repr([pair, wallet, found, Session(tokens=pair)]) + repr(wallet.to_dict())
    assert "secret" not in shown
    assert (copy.copy(pair), copy.deepcopy(pair)) == (pair, pair)
    for secret in (pair, wallet, Session(tokens=pair)):
        with pytest.raises(TypeError):
            pickle.dumps(secret)
