"""A file for tokens, and how programs share it."""

from __future__ import annotations

import os
import pwd
import stat
import threading
import time
from pathlib import Path

import pytest

import sogni.local.files as file_lock
from sogni.errors import SogniTimeoutError, ValidationError
from sogni.local.token_store import TokenStore
from sogni.models.account import TokenPair
from tests.core.test_credentials import token

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


def test_a_byte_order_mark_is_no_part_of_a_pair(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "t.json")
    store.save(PAIR)
    store.path.write_bytes(b"\xef\xbb\xbf" + store.path.read_bytes())
    assert store.load() == PAIR


def test_without_a_home_directory_a_path_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name)
    with pytest.raises(ValidationError, match="path must be given, or HOME or XDG_STATE_HOME set"):
        TokenStore()
    assert TokenStore(tmp_path / "t.json").load() is None
    monkeypatch.setenv("HOME", "/dev/null")
    assert TokenStore().load() is None


def test_a_link_stays_one_and_what_it_leads_to_is_the_store(tmp_path: Path) -> None:
    """Otherwise whoever else uses the file would have a refresh token that is used up."""
    (tmp_path / "shared").mkdir()
    real, link = tmp_path / "shared" / "t.json", tmp_path / "link.json"
    link.symlink_to(real)
    store = TokenStore(link)
    store.save(PAIR)
    assert (link.is_symlink(), TokenStore(real).load(), store.load()) == (True, PAIR, PAIR)
    with TokenStore(real).locked(), pytest.raises(SogniTimeoutError), store.locked(timeout=0):
        pass
    store.clear()
    assert (real.exists(), link.is_symlink(), store.load()) == (False, True, None)


def test_tokens_that_a_killed_program_left_are_removed(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "t.json")
    left, fresh = (tmp_path / f".t.json-{name}.tmp" for name in ("killed", "busy"))
    for file in (left, fresh):
        file.write_text("tokens")
    os.utime(left, (1, 1))
    store.save(PAIR)
    assert (left.exists(), fresh.exists()) == (False, True)
    os.utime(fresh, (time.time() - 5,) * 2)
    store.clear()
    assert list(tmp_path.iterdir()) == []


def test_one_has_the_store_to_itself(tmp_path: Path) -> None:
    store, other = TokenStore(tmp_path / "new" / "t.json"), TokenStore(tmp_path / "new" / "t.json")
    with store.locked(), pytest.raises(SogniTimeoutError), other.locked(timeout=0.05):
        pass
    with other.locked(timeout=0):
        other.save(PAIR)
    assert store.load() == PAIR


def test_whoever_waits_for_the_store_gets_it(tmp_path: Path) -> None:
    store, order = TokenStore(tmp_path / "t.json"), []

    def wait() -> None:
        with TokenStore(tmp_path / "t.json").locked():
            order.append("second")

    with store.locked():
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.05)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_where_locks_do_not_work_a_program_goes_on_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "try_lock", lambda _: True)
    store = TokenStore(tmp_path / "t.json")
    with store.locked(), store.locked(timeout=0):
        pass
