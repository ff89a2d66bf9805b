"""The cookies of one client, and of the same client when it begins anew (transport §5)."""

from __future__ import annotations

from sogni.machine.cookies import Cookies

HOME = "https://api.example/v1/account/login"


def test_cookies_go_back_to_their_own_host_only() -> None:
    cookies = Cookies(True)
    assert cookies.header_for(HOME) == {}
    cookies.keep(HOME, [])
    cookies.keep(HOME, ["session=1; Path=/", "other=2; Path=/v2"])
    assert cookies.header_for("wss://api.example/") == {"Cookie": "session=1"}
    assert cookies.header_for("https://elsewhere.example/") == {}


def test_who_wants_none_keeps_none() -> None:
    cookies = Cookies(False)
    cookies.keep(HOME, ["session=1; Path=/"])
    assert cookies.header_for(HOME) == {}


def test_a_client_that_begins_anew_has_its_cookies_and_shares_no_store() -> None:
    before, after, never = Cookies(True), Cookies(True), Cookies(True)
    before.keep(HOME, ["session=1; Path=/"])
    after.go_on_from(before)
    never.go_on_from(Cookies(True))
    before.keep(HOME, ["session=2; Path=/"])
    assert (after.header_for(HOME), never.header_for(HOME)) == ({"Cookie": "session=1"}, {})
