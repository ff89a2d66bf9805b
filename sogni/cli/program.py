"""The command `sogni` with all its subcommands, and process-wide settings."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from typing import Any, TextIO

import click

from sogni.cli.account import account, check
from sogni.cli.batch import batch
from sogni.cli.chat import chat
from sogni.cli.completion import VARIABLE, completion
from sogni.cli.config import config
from sogni.cli.doctor import doctor
from sogni.cli.emulator import emulator
from sogni.cli.estimate import estimate
from sogni.cli.exit_codes import TERMINATED, USAGE, Program, print_stderr
from sogni.cli.image import image
from sogni.cli.login import login, logout
from sogni.cli.lora import lora
from sogni.cli.mcp import mcp
from sogni.cli.models import models
from sogni.cli.music import music
from sogni.cli.output import escape_unencodable
from sogni.cli.project import project
from sogni.cli.replay import replay
from sogni.cli.serve import serve
from sogni.cli.speech import speech
from sogni.cli.template import template
from sogni.cli.three_d import three_d
from sogni.cli.upscale import upscale
from sogni.cli.video import video
from sogni.cli.workflow import workflow
from sogni.logs import configure
from sogni.settings import VERSION


@click.group(cls=Program, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="sogni %(version)s")
@click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
@click.option("-v", "--verbose", count=True, help="Log what happens to standard error; -vv also requests and frames.")
@click.option(
    "--profile",
    envvar="SOGNI_PROFILE",
    metavar="NAME",
    help="Use the settings of this profile of 'sogni config'. Default: SOGNI_PROFILE, else 'default'.",
)
@click.pass_context
def sogni(context: click.Context, quiet: bool, verbose: int, profile: str | None) -> None:
    """Generate images, videos and music on the Sogni Supernet, and chat with language models.

    Commands authenticate with SOGNI_API_KEY, or with the session of 'sogni login'. With --local they need neither and
    start an emulator of the service for themselves.

    Example: sogni image "a lighthouse at dawn" --local
    """
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other")
    if verbose:
        configure("info" if verbose == 1 else "debug")
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(USAGE)


_COMMANDS = (
    *(
        image,
        video,
        music,
        speech,
        upscale,
        three_d,
        batch,
        project,
        chat,
        workflow,
        template,
        replay,
        lora,
        models,
        estimate,
        account,
        login,
        logout,
        check,
        doctor,
        completion,
        config,
    ),
    emulator,
    mcp,
    serve,
)
for _command in _COMMANDS:
    sogni.add_command(_command)


def run() -> None:
    """Run the command line with the arguments of this process, then exit."""
    if VARIABLE in os.environ:
        # Messages and logs would be written into the line that is being completed.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  closed with the process
    escape_unencodable()
    # Without a handler, log records would be written to the terminal in the middle of a progress bar.
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.showwarning = _print_warning
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sogni.main(prog_name="sogni")
    finally:
        # Ctrl-C during interpreter exit would only print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print_stderr(str(message))


def _terminate(*_: Any) -> None:
    # Unwinds the stack, so that connections are closed and temporary files removed.
    sys.exit(TERMINATED)
