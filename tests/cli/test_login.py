"""`sogni login`, `sogni logout`, and what `sogni account` shows."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from sogni.emulator import LocalSupernet
from sogni.local.token_store import TokenStore
from tests.forkserver import ROOT, Process

Run = Callable[..., Result]
NAME, PASSWORD = "ada", "a good password"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, supernet: LocalSupernet, sogni: Run) -> TokenStore:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SOGNI_API_KEY")
    supernet.add_account(NAME, PASSWORD, spark=7)
    return TokenStore()


def keep_expired(store: TokenStore, supernet: LocalSupernet) -> None:
    """Keep a pair whose access token is over; the next one lasts."""
    supernet.set_token_lifetimes(access=-1)
    with supernet.client() as client:  # with a key, so that it does not use the tokens
        store.save(client.account.login(NAME, PASSWORD).tokens)
    supernet.set_token_lifetimes(access=3600)


def test_commands_use_the_session_until_logout(sogni: Run, store: TokenStore) -> None:
    entered = sogni("login", NAME, input=f"{PASSWORD}\n")
    assert (entered.exit_code, entered.stdout, PASSWORD in entered.output) == (0, "", False)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert "Spark\t7" in sogni("account", "balance").stdout
    assert json.loads(sogni("account", "me", "--json").stdout)["username"] == NAME
    assert sogni("logout").stderr == "sogni: signed out\n"
    assert (store.load(), sogni("account").exit_code) == (None, 3)
    assert json.loads(sogni("logout", "--json").stdout) == {"signedOut": False}


def test_rotated_tokens_are_saved_for_the_next_command(sogni: Run, store: TokenStore, supernet: LocalSupernet) -> None:
    keep_expired(store, supernet)
    assert [sogni("account", "me").exit_code for _ in range(3)] == [0, 0, 0]


def test_concurrent_commands_refresh_the_tokens_once(
    store: TokenStore, supernet: LocalSupernet, start: Callable[..., Process]
) -> None:
    keep_expired(store, supernet)
    environment = {"XDG_STATE_HOME": str(store.path.parents[1]), "SOGNI_API_KEY": ""}
    together = [start("account", "me", env_extra=environment) for _ in range(4)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in together] == [("", 0)] * 4
    assert sum(getattr(it, "path", "") == "/v1/account/refresh-token" for it in supernet.requests) == 1


def test_an_ended_session_is_reported_and_forgotten(sogni: Run, store: TokenStore, supernet: LocalSupernet) -> None:
    assert sogni("login", NAME, "--password-file", "-", input=PASSWORD).exit_code == 0
    supernet.end_sessions()
    result = sogni("account")
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert sogni("logout").exit_code == 0
    assert store.load() is None


@pytest.mark.parametrize("closed", ["<&-", "</dev/null"])
def test_no_password_prompt_without_a_terminal(store: TokenStore, reach: dict[str, str], closed: str) -> None:
    command = f'exec "$0" -W error -m sogni login {NAME} {closed}'
    environment = {**os.environ, **reach, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        ["sh", "-c", command, sys.executable], env=environment, capture_output=True, start_new_session=True, timeout=30
    )
    assert (process.returncode, process.stdout) == (2, b"")
    assert process.stderr.startswith(b"sogni: no terminal to prompt for the password: ")


def test_a_wrong_password_saves_nothing(sogni: Run, store: TokenStore) -> None:
    result = sogni("login", NAME, input="not this one\n")
    assert (result.exit_code, store.load(), "not this one" in result.output) == (3, None, False)


def test_a_file_without_a_password_is_rejected(sogni: Run, store: TokenStore) -> None:
    for content in (b"", b"\n", b"\xff\xfe"):
        Path("password").write_bytes(content)
        assert sogni("login", NAME, "--password-file", "password").exit_code == 2


@pytest.mark.parametrize("what", ["history", "rewards", "subscription"])
def test_what_an_account_has(sogni: Run, supernet: LocalSupernet, what: str) -> None:
    assert sogni("account", what, "--json").exit_code == 0
    assert sogni("account", what).exit_code == 0


def test_sessions_with_the_emulator_are_not_saved(sogni: Run, store: TokenStore, supernet: LocalSupernet) -> None:
    assert sogni("login", NAME, "--password-file", "-", input=PASSWORD).exit_code == 0
    kept = store.load()
    entered = sogni("login", "grace", "--local", "--json", "--password-file", "-", input="any password")
    assert (entered.exit_code, json.loads(entered.stdout)["username"]) == (0, "grace")
    left = sogni("logout", "--local", "--json")
    assert (left.exit_code, json.loads(left.stdout)) == (0, {"signedOut": True})
    local = supernet.account.username
    assert sogni("login", local, "--local", "--password-file", "-", input="not this one").exit_code == 3
    assert sogni("login", "", "--local", "--password-file", "-", input="x").exit_code == 2
    assert (kept is not None, store.load()) == (True, kept)


def test_a_missing_home_directory_is_reported(
    sogni: Run, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert sogni("image", "a fox", "--model", "flux1-schnell-fp8").exit_code == 0
    monkeypatch.delenv("SOGNI_API_KEY")
    account = sogni("account")
    assert (account.exit_code, account.stderr.startswith("sogni: no credentials: sign in")) == (3, True)
    login = sogni("login", NAME, input=f"{PASSWORD}\n")
    assert (login.exit_code, login.stderr.splitlines()[-1].split("; see")[0]) == (
        2,
        "sogni: no home directory to store the session in: set HOME or XDG_STATE_HOME",
    )
    assert sogni("logout").stderr == "sogni: not signed in\n"
    assert sogni("login", "grace", "--local", "--password-file", "-", input="any password").exit_code == 0


def test_a_password_file_can_begin_with_a_byte_order_mark(sogni: Run, store: TokenStore, tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xef\xbb\xbf" + PASSWORD.encode() + b"\r\n")
    assert sogni("login", NAME, "--password-file", "password").exit_code == 0
