"""The command `sogni serve`."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.emulator import PORT
from sogni.cli.exit_codes import Command, is_quiet, print_note
from sogni.cli.output import print_json, write
from sogni.cli.params import token_option
from sogni.core.projects.create import cost_limit
from sogni.errors import ValidationError
from sogni.local.app_ids import state_directory
from sogni.local.spending import DaySpending
from sogni.redaction import secret

KEY = "SOGNI_SERVE_KEY"
DEFAULT_PORT = 8481
_LEAST_KEY = 16
_MEGABYTE = 1024 * 1024


def _limit(context: click.Context, parameter: click.Parameter, value: str | None) -> Decimal | None:
    try:
        return cost_limit(value)
    except ValidationError as error:
        raise click.BadParameter(error.message.removeprefix("max_cost "), context, parameter) from None


def _pairs(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for value in values:
        name, _, meaning = value.partition("=")
        if not name or not meaning:
            raise click.BadParameter(f"must be {parameter.metavar}, got {value!r}", context, parameter)
        found[name] = meaning
    return found


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address.")
@click.option(
    "--port", type=PORT, default=DEFAULT_PORT, show_default=True, help="Listen on this port; 0 for a free one."
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="NAME=MODEL",
    callback=_pairs,
    help="Answer requests for the model NAME with this model, for example gpt-4o-mini=qwen3.6-35b-a3b-gguf-iq4xs. "
    "Repeatable.",
)
@click.option(
    "--voice",
    "voices",
    multiple=True,
    metavar="NAME=VOICE",
    callback=_pairs,
    help="Speak with this voice if NAME is requested, for example alloy=ryan. Repeatable.",
)
@click.option(
    "--max-cost-per-request",
    metavar="AMOUNT",
    callback=_limit,
    help="Refuse requests whose estimate exceeds this amount, in the token that pays.",
)
@click.option(
    "--max-cost-per-day",
    metavar="AMOUNT",
    callback=_limit,
    help="Refuse requests that would exceed this amount per day (UTC), in the token that pays; all servers together.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(1, 100_000),
    default=256,
    show_default=True,
    help="Answer at most this many requests at the same time.",
)
@click.option(
    "--max-body",
    type=click.IntRange(1, 2048),
    default=50,
    show_default=True,
    metavar="MB",
    help="Refuse requests that are larger, in megabytes.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Also answer to this name, for example host.docker.internal. Repeatable.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let web pages of this origin send requests, for example https://chat.example. Repeatable.",
)
@token_option("", "sogni, or spark for models that only it pays for")
@connection_options
def serve(connection: ConnectionOptions, token_type: Any, **options: Any) -> None:
    """Serve the OpenAI API on this host until you press Ctrl-C.

    Prints the URL and the key for client programs as shell commands. A new key is generated at each start, unless
    SOGNI_SERVE_KEY is set.

    Example: sogni serve --max-cost-per-day 500
    """
    try:
        for name in ("starlette", "uvicorn", "python_multipart", "aiohttp"):
            import_module(name)
    except ImportError as error:
        raise ImportError(
            f"'sogni serve' needs {error.name}, which is not installed: pip install 'sogni[serve]'", name=error.name
        ) from None
    import asyncio

    asyncio.run(_serve(connection, token_type, _key(os.environ), **options))


async def _serve(
    connection: ConnectionOptions,
    token_type: Any,
    key: tuple[str, bool],
    *,
    host: str,
    port: int,
    aliases: Mapping[str, str],
    voices: Mapping[str, str],
    max_cost_per_request: Decimal | None,
    max_cost_per_day: Decimal | None,
    max_requests: int,
    max_body: int,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
) -> None:
    from sogni.serve.costs import Costs
    from sogni.serve.server import is_loopback, listen, serve
    from sogni.serve.service import Service
    from sogni.serve.videos import Videos

    # Before anything is started: a port that is taken is the most frequent mistake.
    listener = listen(host, port)
    with listener:
        async with connection.async_client(**({} if token_type is None else {"token_type": token_type})) as client:
            await client.connect()
            day = DaySpending(max_cost_per_day) if connection.local else DaySpending.shared(max_cost_per_day)
            service = Service(
                client,
                key[0],
                costs=Costs(client, max_cost_per_request, day),
                aliases=aliases,
                voices=voices,
                loopback=is_loopback(listener),
                hosts=hosts,
                origins=origins,
                max_requests=max_requests,
                max_body=max_body * _MEGABYTE,
                videos=Videos(client, None if connection.local or port == 0 else _videos_file(port)),
            )
            _log_requests()
            if not is_loopback(listener):
                print_note("other computers can reach the server; what they send is not encrypted")
            address = listener.getsockname()
            _print_endpoint(address[0], address[1], *key, as_json=connection.as_json)
            await serve(service, listener)


def _videos_file(port: int) -> Path | None:
    """Return the file with the list of videos. Servers that run at the same time have different ports."""
    with suppress(RuntimeError):
        return state_directory() / f"served-videos-{port}.json"
    return None


def _key(environ: Mapping[str, str]) -> tuple[str, bool]:
    """Return the key of the server, and whether it is new. Raises UsageError if the given one is too short."""
    given = environ.get(KEY, "")
    if not given:
        return secret(f"sogni-{secrets.token_urlsafe(32)}"), True
    if len(given) < _LEAST_KEY or not re.fullmatch(r"[!-~]+", given):
        raise click.UsageError(f"{KEY} must have at least {_LEAST_KEY} characters, and no spaces")
    return secret(given), False


def _log_requests() -> None:
    """Write the log of requests to standard error, unless `--quiet` is given or the log of `--verbose` contains it."""
    logger = logging.getLogger("sogni")
    if is_quiet() or logger.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    requests = logging.getLogger("sogni.serve")
    requests.setLevel(logging.INFO)
    requests.addHandler(handler)


def _print_endpoint(host: str, port: int, key: str, is_new: bool, *, as_json: bool) -> None:
    """Print the endpoint of the server, flushed immediately because programs wait for it."""
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}/v1"
    if as_json:
        print_json({"baseUrl": url, **({"apiKey": str(key)} if is_new else {})})
    else:
        write(f"export OPENAI_BASE_URL={shlex.quote(url)}")
        write(f"export OPENAI_API_KEY={shlex.quote(key) if is_new else f'${KEY}'}")
    sys.stdout.flush()
    print_note("serving until Ctrl-C")
