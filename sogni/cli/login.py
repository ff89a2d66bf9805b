"""The commands `sogni login` and `sogni logout`.

The tokens are stored in a file that only its owner can read. The password is prompted for or read from a file; as an
argument, other users of the host could read it in the process list. With `--local` both commands use the built-in
emulator, which ends with the command, so nothing is stored and an existing session stays unchanged.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import GetPassWarning
from typing import IO, TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import CLOSE_SECONDS, JSON, LOCAL, resume, saved_session
from sogni.cli.exit_codes import Command, print_note
from sogni.cli.output import print_json
from sogni.cli.profiles import current_profile
from sogni.errors import AuthenticationError
from sogni.local.token_store import TokenStore
from sogni.settings import Timeouts

if TYPE_CHECKING:
    from sogni.client import SogniClient

LOCAL_NAME, LOCAL_PASSWORD = "local-artist", "local password"
"""Account for `sogni logout --local`, since every emulator starts without a session."""


@click.command(cls=Command)
@click.argument("username")
@click.option(
    "--password-file",
    type=click.File(),
    metavar="FILE",
    help="Read the password from the first line of FILE (- for standard input). Default: prompt for it.",
)
@LOCAL
@JSON
def login(username: str, password_file: IO[str] | None, local: bool, as_json: bool) -> None:
    """Sign in and store the session for commands without an API key.

    With --local any username and password are accepted, and nothing is stored.

    Example: sogni login ada --password-file password.txt
    """
    store = _store(local)
    password = _password(password_file)
    with _local_client(username, password) if local else _client() as client:
        session = client.account.login(username, password)
        if store is not None:
            assert session.tokens is not None
            store.save(session.tokens)
            # Verifies the tokens and renews expired ones now, so that no renewal is in progress on close.
            client.account.me()
            store.save(client.api_client.auth.backup())
    if as_json:
        print_json({"username": session.username, "walletAddress": session.wallet_address})
    else:
        print_note(f"signed in as {session.username}")


@click.command(cls=Command)
@LOCAL
@JSON
def logout(local: bool, as_json: bool) -> None:
    """Sign out and delete the stored tokens.

    Example: sogni logout
    """
    signed_in = _log_out_locally() if local else _log_out()
    if as_json:
        print_json({"signedOut": signed_in})
    else:
        print_note("signed out" if signed_in else "not signed in")


def _store(local: bool) -> TokenStore | None:
    """Return the store of the session, or None with `--local`. Raises UsageError if there is no home directory."""
    store = None if local else saved_session()
    if store is None and not local:
        raise click.UsageError("no home directory to store the session in: set HOME or XDG_STATE_HOME")
    return store


def _log_out() -> bool:
    """End the stored session and return whether there was one."""
    store = saved_session()
    if store is None:
        return False
    signed_in = store.load() is not None
    if signed_in:
        with _client() as client:
            try:
                resume(client)
                client.account.logout()
            except AuthenticationError:
                # The session has expired or been revoked.
                signed_in = False
    store.clear()
    return signed_in


def _log_out_locally() -> bool:
    """Start and end a session in the emulator."""
    with _local_client(LOCAL_NAME, LOCAL_PASSWORD) as client:
        client.account.login(LOCAL_NAME, LOCAL_PASSWORD)
        client.account.logout()
    return True


def _client(**options: Any) -> SogniClient:
    from sogni.client import SogniClient

    options = {**_endpoints(), **options}
    return SogniClient(auth_type="token", timeout=Timeouts(close=CLOSE_SECONDS), **options)


def _endpoints() -> dict[str, str]:
    return current_profile().client_arguments(os.environ, "rest_endpoint", "socket_endpoint")


@contextmanager
def _local_client(username: str, password: str) -> Iterator[SogniClient]:
    """Yield a client of an emulator that has this account."""
    from sogni.emulator import LocalSupernet

    with LocalSupernet() as supernet:
        if username.lower() != supernet.account.username.lower():
            supernet.add_account(username, password)
        with _client(rest_endpoint=supernet.rest_endpoint, socket_endpoint=supernet.socket_endpoint) as client:
            yield client


def _password(file: IO[str] | None) -> str:
    if file is None:
        return prompt_secretly("Password")
    try:
        password = file.readline(4096).removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError:
        password = ""
    if not password:
        raise click.UsageError(f"--password-file: the first line of {file.name} must be a password")
    return password


def prompt_secretly(what: str) -> str:
    """Return what is typed without an echo. Raises UsageError without a terminal."""
    try:
        with warnings.catch_warnings():
            # Fail rather than echo the password.
            warnings.simplefilter("error", GetPassWarning)
            given: str = click.prompt(what, hide_input=True, err=True)
    except GetPassWarning:
        option = "--password-file" if what == "Password" else "--file"
        raise click.UsageError(
            f"no terminal to prompt for the {what.removeprefix('API ').lower()}: use {option}"
        ) from None
    return given
