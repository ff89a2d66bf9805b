"""A file for tokens, and the cookies of a client."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sogni.errors import ValidationError
from sogni.machine.cookies import Cookies
from sogni.machine.token_store import TokenStore
from sogni.models.session import TokenPair
from tests.protocol.test_credentials import token

PAIR = TokenPair(token=token(), refresh_token=token(5))


def test_what_is_saved_is_loaded_and_only_by_its_owner(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "new" / "t.json")
    assert store.load() is None
    store.save(PAIR)
    assert (store.load(), stat.S_IMODE(store.path.stat().st_mode)) == (PAIR, 0o600)
    assert [it.name for it in store.path.parent.iterdir()] == ["t.json"]
    store.clear()
    store.clear()
    assert store.load() is None
    assert "t.json" in repr(store)


def test_the_usual_place_is_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert tmp_path in TokenStore().path.parents


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"token":"x","refreshToken":"y"}'])
def test_a_damaged_file_holds_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    assert TokenStore(path).load() is None


def test_what_is_no_pair_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TokenStore(tmp_path / "t.json")
    store.save(PAIR)
    with pytest.raises(ValidationError):
        store.save({"token": "", "refreshToken": PAIR.refresh_token})

    def full(_: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        store.save(TokenPair(token=token(7), refresh_token=token(8)))
    assert store.load() == PAIR
    assert [it.name for it in tmp_path.iterdir()] == ["t.json"]


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
