"""Options for the service and the credentials of a command: `--local`, `--network`, `--api-key-file`, `--json`.

There is no option for the key itself: other users of the host could read it in the process list.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen

from sogni.cli import known_names
from sogni.cli.input_files import decode_text, read_input
from sogni.cli.profiles import current_profile, setting
from sogni.errors import AuthenticationError, ValidationError
from sogni.local.token_store import TokenStore
from sogni.settings import NETWORKS, Network, Timeouts, check_seconds

if TYPE_CHECKING:
    import sogni_async
    from sogni.client import SogniClient

NO_CREDENTIALS = (
    "no credentials: sign in with 'sogni login', set SOGNI_API_KEY, run 'sogni config set api_key', pass a file that "
    "contains the key with --api-key-file, or use the built-in emulator with --local"
)

CLOSE_SECONDS = 1.0
"""Time limit for closing the client, in seconds. Short, because the user waits for it after Ctrl-C."""


@frozen(kw_only=True)
class ConnectionOptions:
    """Service, credentials and output format of a command."""

    local: bool
    as_json: bool
    network: Network
    key: str | None

    @contextmanager
    def client(self, timeout: float | None = None) -> Iterator[SogniClient]:
        """Open a client for a `with` block, and the emulator with `--local`.

        Args:
            timeout: Limit for each step of connecting, in seconds. Default: the limits of the client.

        Raises:
            AuthenticationError: There are no credentials.
        """
        options: dict[str, Any] = {"network": self.network, "timeout": timeouts_within(timeout)}
        if self.local:
            from sogni.emulator import LocalSupernet

            with LocalSupernet() as supernet, supernet.client(**options) as client:
                yield client
            return
        from sogni.client import SogniClient

        options |= current_profile().client_arguments(os.environ)
        if self.key is not None:
            options["api_key"] = self.key
        with SogniClient(**options) as client:
            if not client.is_authenticated:
                resume(client)
            yield client

    @asynccontextmanager
    async def async_client(self, **settings: Any) -> AsyncIterator[sogni_async.SogniClient]:
        """Open a client of the asyncio package for an `async with` block, and the emulator with `--local`.

        Args:
            settings: Further settings of the client.

        Raises:
            AuthenticationError: There are no credentials.
        """
        from sogni_async import SogniClient

        options: dict[str, Any] = {"network": self.network, "timeout": timeouts_within(None), **settings}
        if self.local:
            async with SogniClient.local(**options) as client:
                yield client
            return
        options = current_profile().client_arguments(os.environ) | options
        if self.key is not None:
            options["api_key"] = self.key
        async with SogniClient(**options) as client:
            if not client.is_authenticated:
                await resume_async(client)
            yield client

    def remember(
        self, client: SogniClient, kind: known_names.Kind, names: known_names.Names, *, complete: bool
    ) -> None:
        """Save names that the service has returned, for shell completion; not those of the embedded emulator."""
        if not self.local:
            known_names.remember(client._settings.rest_endpoint, kind, names, complete=complete)


def resume(client: SogniClient) -> TokenStore:
    """Resume the session of `sogni login` and save its tokens whenever they are renewed.

    Raises AuthenticationError if there is no session.
    """
    store = saved_session()
    if store is None or store.load() is None:
        raise AuthenticationError(NO_CREDENTIALS, status=401)
    # If several commands start at once, one renews the tokens and the others use the new ones.
    with store.locked():
        pair = store.load()
        if pair is None:
            raise AuthenticationError(NO_CREDENTIALS, status=401)
        store.follow(client)
        client.api_client.auth.authenticate(pair)
        renewed = client.api_client.auth.backup()
        if renewed is not None:  # None: already rejected by the service, so the next request fails
            store.save(renewed)
    return store


async def resume_async(client: sogni_async.SogniClient) -> None:
    """Resume the session of `sogni login`, as `resume` does."""
    store = saved_session()
    if store is None or store.load() is None:
        raise AuthenticationError(NO_CREDENTIALS, status=401)
    with store.locked():
        pair = store.load()
        if pair is None:
            raise AuthenticationError(NO_CREDENTIALS, status=401)
        store.follow(client)
        await client.api_client.auth.authenticate(pair)
        renewed = client.api_client.auth.backup()
        if renewed is not None:
            store.save(renewed)


def saved_session() -> TokenStore | None:
    """Return the store of the session of `sogni login`, or None if there is no home directory."""
    try:
        return TokenStore()
    except ValidationError:
        return None


def timeouts_within(seconds: float | None) -> Timeouts:
    """Return the default time limits, capped at `seconds`. Raises ValidationError if it is not a duration."""
    defaults = Timeouts(close=CLOSE_SECONDS)
    limit = check_seconds("timeout", seconds)
    if limit is None:
        return defaults
    names = ("connect", "request", "ready")
    return evolve(defaults, **{name: min(limit, getattr(defaults, name)) for name in names})


def connection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of this module to a command, which receives `ConnectionOptions` as its first argument."""

    @wraps(function)
    def command(
        *args: Any, local: bool, as_json: bool, network: Network, api_key_file: str | None, **given: Any
    ) -> Any:
        key = None if local else read_key(api_key_file, given.get("timeout"))
        return function(ConnectionOptions(local=local, as_json=as_json, network=network, key=key), *args, **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


LOCAL = click.option("--local", is_flag=True, help="Use the built-in emulator, which requires no account.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_OPTIONS = (
    LOCAL,
    JSON,
    click.option(
        "--network",
        type=click.Choice(NETWORKS),
        default=lambda: setting("network") or "fast",
        show_default=False,
        help="Use this network. Default: that of the profile, else fast.",
    ),
    click.option(
        "--api-key-file",
        type=click.Path(exists=True, dir_okay=False, allow_dash=True),
        metavar="FILE",
        help="Read the API key from FILE (- for standard input). Default: SOGNI_API_KEY, else that of the profile.",
    ),
)


def read_key(file: str | None, timeout: float | None) -> str | None:
    """Return the API key in a file. Raises UsageError if it does not contain exactly one."""
    if file is None:
        return None
    try:
        key = decode_text(read_input(file, timeout)).strip()
    except UnicodeDecodeError:
        key = ""
    if len(key.split()) != 1:
        raise click.UsageError(f"--api-key-file: {file} must contain an API key and nothing else")
    return key
