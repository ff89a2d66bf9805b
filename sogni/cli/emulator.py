"""`sogni emulator`: a local Supernet for other programs."""

from __future__ import annotations

import shlex
import sys
import time
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from sogni.cli.connection_options import JSON
from sogni.cli.exit_codes import Command
from sogni.cli.output import on_terminal, print_json, write

TURN = 0.5
PORT = click.IntRange(0, 65535)


def _amount(context: click.Context, parameter: click.Parameter, value: str) -> Decimal:
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise click.BadParameter(f"{value!r} is not an amount of 0 or more", context, parameter)
    return amount


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--rest-port", type=PORT, default=0, help="Of the REST host; a free one by default.")
@click.option("--socket-port", type=PORT, default=0, help="Of the socket host; a free one by default.")
@click.option("--step-time", type=click.FloatRange(0, 3600), default=0.2, show_default=True, help="Seconds per step.")
@click.option(
    "--token-rate", type=click.FloatRange(0, 100_000), help="Tokens per second; 60 unless steps take no time."
)
@click.option("--spark", default="10000", show_default=True, callback=_amount, help="The balance in Spark.")
@click.option("--sogni", default="10000", show_default=True, callback=_amount, help="The balance in Sogni.")
@click.option("--data", type=click.Path(file_okay=False), help="Where workflows, files and the balance outlive it.")
@click.option("--seed", type=int, help="Make ids and drawn seeds repeatable.")
@click.option("--local", is_flag=True, help="Taken for granted.")
@JSON
def emulator(spark: Decimal, sogni: Decimal, local: bool, as_json: bool, **options: Any) -> None:
    """Run a local Supernet until Ctrl-C.

    Prints the environment that leads clients to it, as lines for a shell.
    """
    from sogni.emulator import LocalSupernet

    with LocalSupernet(balance={"spark": spark, "sogni": sogni}, **options) as supernet:
        announce(supernet, as_json=as_json)
        try:
            # No join of its thread, which an interrupted one leaves in doubt before Python 3.13; and in turns,
            # because a signal that arrives just as a turn begins is not noticed before its end.
            while True:
                time.sleep(TURN)
        except KeyboardInterrupt:
            # The ordinary end of a server in the foreground.
            return


def announce(supernet: Any, *, as_json: bool) -> None:
    """Say at once how the emulator is reached: whoever started it waits for that."""
    if as_json:
        print_json(
            {
                "apiKey": supernet.api_key,
                "restEndpoint": supernet.rest_endpoint,
                "socketEndpoint": supernet.socket_endpoint,
            }
        )
    else:
        write(f"export SOGNI_API_KEY={shlex.quote(supernet.api_key)}")
        write(f"export SOGNI_REST_ENDPOINT={shlex.quote(supernet.rest_endpoint)}")
        write(f"export SOGNI_SOCKET_ENDPOINT={shlex.quote(supernet.socket_endpoint)}")
    if on_terminal(sys.stderr):
        click.echo("Ctrl-C ends the emulator.", err=True)
