"""The command `sogni mcp`."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.emulator import PORT
from sogni.cli.exit_codes import DONE, TERMINATED, Command, print_note
from sogni.cli.output import print_json, write
from sogni.cli.profiles import setting
from sogni.redaction import secret
from sogni.settings import TokenType

if TYPE_CHECKING:
    from sogni.mcp.service import ServerOptions

KEY_VARIABLE = "SOGNI_MCP_KEY"
DEFAULT_PORT = 8482
_LEAST_KEY = 16
_REQUIRED = ("mcp", "aiohttp", "jsonschema", "PIL", "uvicorn")
_NO_LIMIT = "none"


def _limit(context: click.Context, parameter: click.Parameter, value: str) -> Decimal | None:
    if value == _NO_LIMIT:
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise click.BadParameter(f"must be an amount of 0 or more, or {_NO_LIMIT}, got {value!r}", context, parameter)
    return amount


class _Folder(click.Path):
    """A folder that exists. No shell expands `~` in the settings of a host."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path without links, so that a link that replaces the folder later is noticed."""
        return Path(os.path.realpath(os.fsdecode(super().convert(os.path.expanduser(value), param, ctx))))


@click.command(cls=Command)
@click.option("--http", is_flag=True, help="Serve streamable HTTP. Default: standard input and output.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address with --http.")
@click.option(
    "--port",
    type=PORT,
    default=DEFAULT_PORT,
    show_default=True,
    help="Listen on this port with --http; 0 for a free one.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Accept requests to this host name with --http, in addition to --host and the loopback interface. Repeatable.",
)
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=_Folder(exists=True, file_okay=False),
    metavar="FOLDER",
    help="Allow files in this folder to be read, and save results to the first one. Repeatable. Default: only the "
    "folders that the host declares, without --http, and nothing is saved unless a call says where.",
)
@click.option(
    "--max-cost",
    default=_NO_LIMIT,
    show_default=True,
    callback=_limit,
    metavar="AMOUNT",
    help="Refuse calls that cost more than this, in the token that pays.",
)
@click.option(
    "--max-cost-per-day",
    default="1000",
    show_default=True,
    callback=_limit,
    metavar="AMOUNT",
    help="Refuse calls once this has been spent since midnight UTC, by all servers with a limit together; "
    f"{_NO_LIMIT} for no limit.",
)
@click.option(
    "--ask-above",
    default="5",
    show_default=True,
    callback=_limit,
    metavar="AMOUNT",
    help="Ask before a call that costs more than this, if the host can ask its user.",
)
@click.option("--yes", is_flag=True, help="Never ask. The limits apply.")
@click.option(
    "--token",
    "token_type",
    type=click.Choice(get_args(TokenType)),
    default=lambda: os.environ.get("SOGNI_TOKEN_TYPE") or setting("token_type") or "spark",
    show_default=False,
    help="Pay with this token. Default: SOGNI_TOKEN_TYPE, else that of the profile, else spark.",
)
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=50,
    show_default=True,
    help="Let a call wait this many seconds for its results; then it returns, and get_project waits for the rest. "
    "Many hosts give up after 60.",
)
@click.option(
    "--max-calls",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="Refuse further calls while this many are in progress.",
)
@connection_options
def mcp(
    connection: ConnectionOptions,
    *,
    http: bool,
    host: str,
    port: int,
    names: tuple[str, ...],
    roots: tuple[Path, ...],
    max_cost: Decimal | None,
    max_cost_per_day: Decimal | None,
    ask_above: Decimal | None,
    yes: bool,
    token_type: TokenType,
    wait: float,
    max_calls: int,
) -> None:
    """Serve tools for agents over the Model Context Protocol: images, video, music and speech.

    Hosts such as Claude Desktop start this command themselves and use it over standard input and output. With --http
    it runs on its own and prints its URL and the key that hosts must send as 'Authorization: Bearer KEY', unless
    SOGNI_MCP_KEY contains the key.

    Example: sogni mcp --root ~/Pictures/sogni --max-cost 50
    """
    for name in _REQUIRED:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            message = f"'sogni mcp' needs {name}, which is not installed: pip install 'sogni[mcp]'"
            raise ImportError(message, name=error.name) from None
    from sogni.local.spending import DaySpending
    from sogni.mcp.service import ServerOptions

    options = ServerOptions(
        # What the emulator charges is not money.
        spending=DaySpending(max_cost_per_day) if connection.local else DaySpending.shared(max_cost_per_day),
        token_type=token_type,
        max_cost=max_cost,
        ask_above=None if yes else ask_above,
        roots=roots,
        host_roots=not http,
        wait=wait,
        max_calls=max_calls,
    )
    key = key_of(os.environ)
    if not http:
        if sys.stdin.isatty():
            print_note("waiting for a host on standard input; hosts start this command themselves (Ctrl-C ends it)")
        asyncio.run(_serve_stdio(connection, options))
        return
    with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        try:
            asyncio.run(_serve_http(connection, options, listener, host, names, key))
        except KeyboardInterrupt:
            # The normal way to stop a server in the foreground.
            return


async def _serve_stdio(connection: ConnectionOptions, options: ServerOptions) -> None:
    from mcp.server.stdio import stdio_server

    from sogni.mcp.server import create_server

    async with connection.async_client(token_type=options.token_type) as client:
        server = create_server(client, options)
        async with stdio_server() as (incoming, outgoing):
            serving = asyncio.ensure_future(server.run(incoming, outgoing, server.create_initialization_options()))
            codes: list[int] = []
            for number, code in ((signal.SIGINT, DONE), (signal.SIGTERM, TERMINATED)):
                with suppress(NotImplementedError):  # on Windows
                    asyncio.get_running_loop().add_signal_handler(number, _stop, serving, codes, code)
            await asyncio.wait([serving])
            if codes:
                await client.close()
                # A thread waits for the next line of standard input, and Python would wait for the thread.
                os._exit(codes[0])
            await serving


def _stop(serving: asyncio.Future[None], codes: list[int], code: int) -> None:
    """End a server whose process has been signaled. Its calls are canceled, and so are their projects."""
    codes.append(code)
    serving.cancel()


async def _serve_http(
    connection: ConnectionOptions,
    options: ServerOptions,
    listener: socket.socket,
    host: str,
    names: tuple[str, ...],
    given: str | None,
) -> None:
    from sogni.mcp.http import application, serve, url_of
    from sogni.mcp.server import create_server

    key = given or secret(f"sogni-{secrets.token_urlsafe(32)}")
    async with connection.async_client(token_type=options.token_type) as client:
        app = application(create_server(client, options), key, host, names)
        _print_address(url_of(listener, host), None if given else key, as_json=connection.as_json)
        await serve(app, listener)


def key_of(environ: Mapping[str, str]) -> str | None:
    """Return the key that hosts must send, if the environment contains one. Raises UsageError if it is not usable."""
    key = environ.get(KEY_VARIABLE, "")
    if not key:
        return None
    if len(key) < _LEAST_KEY or not re.fullmatch(r"[!-~]+", key):
        raise click.UsageError(f"{KEY_VARIABLE} must have at least {_LEAST_KEY} characters, and no spaces")
    return secret(key)


def _print_address(url: str, key: str | None, *, as_json: bool) -> None:
    """Print the URL of the server, flushed immediately because other programs wait for it."""
    if as_json:
        print_json({"url": url, **({} if key is None else {"key": str(key)})})
        return
    write(f"URL: {url}")
    if key is not None:
        write(f"Key: {key}")
