"""`sogni login`, `sogni logout`: begin and end the session that other commands use.

The tokens are kept in a file that only its owner can read; a password is asked for, or read from a file, and is
never an argument: other users of the machine could read it there. With `--local` both go through the built-in emulator,
which ends with the command: nothing is kept, and the session there is stays as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import GetPassWarning
from typing import IO, TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import CLOSE_WITHIN, JSON, LOCAL, kept_session, resume
from sogni.cli.exit_codes import Command, say
from sogni.cli.output import print_json
from sogni.errors import AuthenticationError
from sogni.local.token_store import TokenStore
from sogni.settings import Timeouts

if TYPE_CHECKING:
    from sogni.client import SogniClient

LOCAL_NAME, LOCAL_PASSWORD = "local-artist", "local password"
"""Who signs out of the emulator, where nobody has signed in before."""


@click.command(cls=Command)
@click.argument("username")
@click.option(
    "--password-file",
    type=click.File(),
    metavar="FILE",
    help="Read the password from the first line of a file (- is standard input) instead of asking for it.",
)
@LOCAL
@JSON
def login(username: str, password_file: IO[str] | None, local: bool, as_json: bool) -> None:
    """Sign in; commands without a key then use this account. With --local any name and password will do."""
    store = _store(local)
    password = _password(password_file)
    with _local_client(username, password) if local else _client() as client:
        session = client.account.login(username, password)
        if store is not None:
            assert session.tokens is not None
            store.save(session.tokens)
            # Proves them, and has those renewed that are over already: nothing is under way when the client closes.
            client.account.me()
            store.save(client.api_client.auth.backup())
    if as_json:
        print_json({"username": session.username, "walletAddress": session.wallet_address})
    else:
        say(f"signed in as {session.username}")


@click.command(cls=Command)
@LOCAL
@JSON
def logout(local: bool, as_json: bool) -> None:
    """Sign out, and forget the tokens."""
    signed_in = _end_local() if local else _end()
    if as_json:
        print_json({"signedOut": signed_in})
    else:
        say("signed out" if signed_in else "nobody was signed in")


def _store(local: bool) -> TokenStore | None:
    """Where the session is kept, None with `--local`. UsageError if nothing can be kept."""
    store = None if local else kept_session()
    if store is None and not local:
        raise click.UsageError("there is no home directory to keep the session in: set HOME or XDG_STATE_HOME")
    return store


def _end() -> bool:
    """End the session that is kept; whether there was one."""
    store = kept_session()
    if store is None:
        return False
    signed_in = store.load() is not None
    if signed_in:
        with _client() as client:
            try:
                resume(client)
                client.account.logout()
            except AuthenticationError:
                # The service has forgotten the session already.
                signed_in = False
    store.clear()
    return signed_in


def _end_local() -> bool:
    """Begin a session in the emulator, and end it."""
    with _local_client(LOCAL_NAME, LOCAL_PASSWORD) as client:
        client.account.login(LOCAL_NAME, LOCAL_PASSWORD)
        client.account.logout()
    return True


def _client(**options: Any) -> SogniClient:
    from sogni.client import SogniClient

    return SogniClient(auth_type="token", timeout=Timeouts(close=CLOSE_WITHIN), **options)


@contextmanager
def _local_client(username: str, password: str) -> Iterator[SogniClient]:
    """A client of an emulator that has this account."""
    from sogni.emulator import LocalSupernet

    with LocalSupernet() as supernet:
        if username.lower() != supernet.account.username.lower():
            supernet.add_account(username, password)
        with _client(rest_endpoint=supernet.rest_endpoint, socket_endpoint=supernet.socket_endpoint) as client:
            yield client


def _password(file: IO[str] | None) -> str:
    if file is None:
        return _asked()
    try:
        password = file.readline(4096).removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError:
        password = ""
    if not password:
        raise click.UsageError(f"--password-file: {file.name} does not begin with a password")
    return password


def _asked() -> str:
    try:
        with warnings.catch_warnings():
            # Where it would be shown while it is typed, it is not asked for.
            warnings.simplefilter("error", GetPassWarning)
            given: str = click.prompt("Password", hide_input=True, err=True)
    except GetPassWarning:
        raise click.UsageError("there is no terminal to ask for the password: give it by --password-file") from None
    return given
