"""`sogni login`, `sogni logout`: begin and end the session that other commands use.

The tokens are kept in a file that only its owner can read; a password is asked for, or read from a file, and is
never an argument: other users of the machine could read it there.
"""

from __future__ import annotations

from typing import IO

import click

from ..errors import AuthenticationError
from ..machine.token_store import TokenStore
from .access import CLOSE_WITHIN, JSON, resume
from .commands import Command
from .ending import say
from .output import print_json


@click.command(cls=Command)
@click.argument("username")
@click.option(
    "--password-file",
    type=click.File(),
    metavar="FILE",
    help="Read the password from the first line of a file (- is standard input) instead of asking for it.",
)
@JSON
def login(username: str, password_file: IO[str] | None, as_json: bool) -> None:
    """Sign in; commands without a key then use this account."""
    from ..client import SogniClient
    from ..settings import Timeouts

    password = _password(password_file)
    with SogniClient(auth_type="token", timeout=Timeouts(close=CLOSE_WITHIN)) as client:
        session = client.account.login(username, password)
        assert session.tokens is not None
        store = TokenStore()
        store.save(session.tokens)
        store.follow(client)
    if as_json:
        print_json({"username": session.username, "walletAddress": session.wallet_address})
    else:
        say(f"signed in as {session.username}")


@click.command(cls=Command)
@JSON
def logout(as_json: bool) -> None:
    """Sign out, and forget the tokens."""
    from ..client import SogniClient
    from ..settings import Timeouts

    store = TokenStore()
    signed_in = store.load() is not None
    if signed_in:
        with SogniClient(auth_type="token", timeout=Timeouts(close=CLOSE_WITHIN)) as client:
            try:
                resume(client)
                client.account.logout()
            except AuthenticationError:
                # The service has forgotten the session already.
                signed_in = False
    store.clear()
    if as_json:
        print_json({"signedOut": signed_in})
    else:
        say("signed out" if signed_in else "nobody was signed in")


def _password(file: IO[str] | None) -> str:
    if file is None:
        given: str = click.prompt("Password", hide_input=True, err=True)
        return given
    try:
        password = file.readline(4096).rstrip("\r\n")
    except UnicodeDecodeError:
        password = ""
    if not password:
        raise click.UsageError(f"--password-file: {file.name} does not begin with a password")
    return password
