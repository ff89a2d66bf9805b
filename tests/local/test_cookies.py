"""The cookies of one client, and of the same client when it starts again (transport §5)."""

from __future__ import annotations

from sogni.local.cookies import Cookies

HOME = "https://api.example/v1/account/login"


def test_cookies_go_to_the_host_that_set_them() -> None:
    cookies = Cookies(True)
    assert cookies.header_for("http://127.0.0.1:1/") == {}
    cookies.keep("http://127.0.0.1:1/v1", ["session=abc; Path=/; HttpOnly", "other=1; Path=/v2"])
    cookies.keep("http://127.0.0.1:1/v1", [])
    assert cookies.header_for("ws://127.0.0.1:2/socket") == {"Cookie": "session=abc"}
    assert cookies.header_for("http://localhost:1/") == {}
    cookies.keep("http://127.0.0.1:1/v1", ["session=; Path=/; Max-Age=0"])
    assert cookies.header_for("http://127.0.0.1:1/") == {}


def test_who_keeps_no_cookies_sends_none() -> None:
    cookies = Cookies(False)
    cookies.keep("http://127.0.0.1:1/v1", ["session=abc"])
    assert cookies.header_for("http://127.0.0.1:1/v1") == {}


def test_a_client_that_begins_anew_has_its_cookies_and_shares_no_store() -> None:
    before, after, never = Cookies(True), Cookies(True), Cookies(True)
    before.keep(HOME, ["session=1; Path=/"])
    after.copy_from(before)
    never.copy_from(Cookies(True))
    before.keep(HOME, ["session=2; Path=/"])
    assert (after.header_for(HOME), never.header_for(HOME)) == ({"Cookie": "session=1"}, {})
