"""The command `sogni emulator`."""

from __future__ import annotations

import math
import re
import shlex
import sys
import time
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from sogni.cli.connection_options import JSON
from sogni.cli.exit_codes import Command
from sogni.cli.output import print_json, write
from sogni.display import on_terminal

POLL_SECONDS = 0.5
PORT = click.IntRange(0, 65535)
_CLOCKS = ("realistic", "instant", "manual")


def _amount(context: click.Context, parameter: click.Parameter, value: str) -> Decimal:
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise click.BadParameter(f"must be an amount of 0 or more, got {value!r}", context, parameter)
    return amount


def _clock(context: click.Context, parameter: click.Parameter, value: str | None) -> str | float | None:
    if value is None or value in _CLOCKS:
        return value
    try:
        factor = float(value)
    except ValueError:
        factor = 0
    if not 0 < factor < math.inf:
        raise click.BadParameter(
            f"must be {', '.join(_CLOCKS)} or a positive number, got {value!r}", context, parameter
        )
    return factor


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address.")
@click.option("--rest-port", type=PORT, default=0, help="Serve REST on this port. Default: a free port.")
@click.option("--socket-port", type=PORT, default=0, help="Serve sockets on this port. Default: a free port.")
@click.option(
    "--step-time",
    type=click.FloatRange(0, 3600),
    help="Simulate this many seconds per step. Default: 0.2, or what the model takes with --clock.",
)
@click.option(
    "--clock",
    callback=_clock,
    help="Let work take as long as with the service (realistic), or no time (instant), or let time pass only when the "
    "control API says so (manual), or so many times faster (a number). Default: --step-time for every step.",
)
@click.option(
    "--load-time",
    type=click.FloatRange(0, 3600),
    default=0,
    show_default=True,
    help="Simulate this many seconds for loading a model or a LoRA, and report it.",
)
@click.option(
    "--token-rate",
    type=click.FloatRange(0, 100_000),
    help="Stream this many tokens per second. Default: 60, or no delay with --step-time 0.",
)
@click.option("--spark", default="10000", show_default=True, callback=_amount, help="Start with this balance in Spark.")
@click.option("--sogni", default="10000", show_default=True, callback=_amount, help="Start with this balance in Sogni.")
@click.option(
    "--free-spark",
    default="0",
    show_default=True,
    callback=_amount,
    help="Start with these free monthly credits, which pay for krea2_turbo_fp8_scaled only.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False),
    help="Keep workflows, files and the balance in this directory. Default: keep nothing.",
)
@click.option("--seed", type=int, help="Generate reproducible IDs and random seeds. Default: random.")
@click.option("--control", is_flag=True, help="Serve the control API on the loopback interface, and print its token.")
@click.option(
    "--control-port",
    type=PORT,
    default=0,
    help="Port of control API and inspector. Default: a free port.",
)
@click.option("--inspector", is_flag=True, help="Serve a page that shows everything live, and print its URL.")
@click.option("--local", is_flag=True, help="Ignored: this command is always local.")
@JSON
def emulator(spark: Decimal, sogni: Decimal, free_spark: Decimal, local: bool, as_json: bool, **options: Any) -> None:
    """Run a local Supernet until you press Ctrl-C.

    Prints the environment variables for its clients, as shell commands.

    Example: sogni emulator --step-time 0.05 --rest-port 8480
    """
    from sogni.emulator import LocalSupernet

    try:
        supernet = LocalSupernet(balance={"spark": spark, "sogni": sogni, "free_spark": free_spark}, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with supernet:
        print_endpoints(supernet, options=options, as_json=as_json)
        try:
            # Not by joining its thread: before Python 3.13 an interrupted join leaves the thread's state unknown. In
            # short sleeps, because a signal that arrives just before one is noticed only at its end.
            while True:
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            # The normal way to stop a server in the foreground.
            return


def print_endpoints(supernet: Any, *, options: Mapping[str, Any], as_json: bool) -> None:
    """Print the endpoints of the emulator, flushed at once because other programs wait for them."""
    found = {"apiKey": supernet.api_key, "restEndpoint": supernet.rest_endpoint}
    found["socketEndpoint"] = supernet.socket_endpoint
    if options["control"]:
        found |= {"controlEndpoint": supernet.control_endpoint, "controlToken": supernet.control_token}
    if options["inspector"]:
        found["inspectorUrl"] = supernet.inspector_url
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            variable = re.sub(r"([A-Z])", r"_\1", name).upper()
            write(f"export SOGNI_{variable}={shlex.quote(value)}")
    if on_terminal(sys.stderr):
        click.echo("Press Ctrl-C to stop the emulator.", err=True)
