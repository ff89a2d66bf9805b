"""Which service a command talks to: decides what `--local`, `--network`, `--api-key-file` mean.

Called by every command that needs a client. A key is never an argument: other users of the machine could
read it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen

from sogni.cli.input_files import read_input, text_of
from sogni.errors import AuthenticationError, ValidationError
from sogni.local.token_store import TokenStore
from sogni.settings import NETWORKS, Network, Timeouts, check_seconds

if TYPE_CHECKING:
    from sogni.client import SogniClient

NO_ACCOUNT = (
    "no account: sign in with 'sogni login', set SOGNI_API_KEY to your key, name a file that holds it with "
    "--api-key-file, or use the built-in emulator with --local"
)

CLOSE_WITHIN = 1.0
"""Seconds for an orderly close: nothing is left to hear then, and whoever pressed Ctrl-C waits for it."""


@frozen(kw_only=True)
class Access:
    """Where a command goes, and how its result is written."""

    local: bool
    as_json: bool
    network: Network
    key: str | None

    @contextmanager
    def client(self, timeout: float | None = None) -> Iterator[SogniClient]:
        """A client that is closed afterwards, and with it the emulator of `--local`.

        `timeout` also limits each step of connecting. AuthenticationError when there is no key.
        """
        options: dict[str, Any] = {"network": self.network, "timeout": timeouts_within(timeout)}
        if self.local:
            from sogni.emulator import LocalSupernet

            with LocalSupernet() as supernet, supernet.client(**options) as client:
                yield client
            return
        from sogni.client import SogniClient

        with SogniClient(api_key=self.key, **options) as client:
            if not client.is_authenticated:
                resume(client)
            yield client


def resume(client: SogniClient) -> TokenStore:
    """Go on with the session of `sogni login`, and keep its tokens when they are renewed. AuthenticationError."""
    store = kept_session()
    if store is None or store.load() is None:
        raise AuthenticationError(NO_ACCOUNT, status=401)
    # Of several commands that begin at once, one renews the tokens, and the others go on with those.
    with store.locked():
        pair = store.load()
        if pair is None:
            raise AuthenticationError(NO_ACCOUNT, status=401)
        store.follow(client)
        client.api_client.auth.authenticate(pair)
        renewed = client.api_client.auth.backup()
        if renewed is not None:  # None: the service has refused it already, and what follows is told so
            store.save(renewed)
    return store


def kept_session() -> TokenStore | None:
    """Where `sogni login` keeps its session; None where nothing can be kept, because there is no home directory."""
    try:
        return TokenStore()
    except ValidationError:
        return None


def timeouts_within(seconds: float | None) -> Timeouts:
    """The usual time limits, none above `seconds`. ValidationError for what is no duration."""
    usual = Timeouts(close=CLOSE_WITHIN)
    limit = check_seconds("timeout", seconds)
    if limit is None:
        return usual
    names = ("connect", "request", "ready")
    return evolve(usual, **{name: min(limit, getattr(usual, name)) for name in names})


def accessing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of this module; it gets them as an `Access`, its first argument."""

    @wraps(function)
    def command(
        *args: Any, local: bool, as_json: bool, network: Network, api_key_file: str | None, **given: Any
    ) -> Any:
        key = None if local else read_key(api_key_file, given.get("timeout"))
        return function(Access(local=local, as_json=as_json, network=network, key=key), *args, **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


LOCAL = click.option("--local", is_flag=True, help="Use the built-in emulator; needs no account.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_OPTIONS = (
    LOCAL,
    JSON,
    click.option(
        "--network", type=click.Choice(NETWORKS), default="fast", show_default=True, help="The network to use."
    ),
    click.option(
        "--api-key-file",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True),
        metavar="FILE",
        help="Read the key from a file (- is standard input) instead of SOGNI_API_KEY.",
    ),
)


def read_key(file: str | None, timeout: float | None) -> str | None:
    """The key in a file. UsageError for a file without one."""
    if file is None:
        return None
    try:
        key = text_of(read_input(file, timeout)).strip()
    except UnicodeDecodeError:
        key = ""
    if len(key.split()) != 1:
        raise click.UsageError(f"--api-key-file: {file} does not hold a key and nothing else")
    return key
