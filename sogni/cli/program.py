"""The command `sogni` itself: decides which commands there are, and what holds for the whole process.

Called by `sogni.cli.main`. A command is a module of its own, added here.
"""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from typing import Any, TextIO

import click

from sogni.cli.account import account, check
from sogni.cli.batch import batch
from sogni.cli.chat import chat
from sogni.cli.emulator import emulator
from sogni.cli.estimate import estimate, models
from sogni.cli.exit_codes import TERMINATED, USAGE, Program, say
from sogni.cli.image import image
from sogni.cli.login import login, logout
from sogni.cli.music import music
from sogni.cli.output import escape_what_the_encoding_lacks
from sogni.cli.replay import replay
from sogni.cli.template import template
from sogni.cli.video import video
from sogni.cli.workflow import workflow
from sogni.settings import VERSION


@click.group(cls=Program, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="sogni %(version)s")
@click.pass_context
def sogni(context: click.Context) -> None:
    """Generate images, videos and music on the Sogni Supernet, and talk to language models.

    The account's key comes from SOGNI_API_KEY; without one, the session of `sogni login` is used. With --local a
    command needs neither: it starts an emulator of the service for itself.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(USAGE)


_COMMANDS = (
    *(image, video, music, batch, chat, workflow, template, replay, models, estimate, account, login, logout, check),
    emulator,
)
for _command in _COMMANDS:
    sogni.add_command(_command)


def run() -> None:
    """Run the command line with the arguments of this process, and exit."""
    escape_what_the_encoding_lacks()
    # Without a handler, warnings of the library would be written to the terminal in the midst of a bar.
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.showwarning = _tell_warning
    signal.signal(signal.SIGTERM, _leave)
    try:
        sogni.main(prog_name="sogni")
    finally:
        # All is done and told; a Ctrl-C while the interpreter leaves would only make it complain.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _tell_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    say(str(message))


def _leave(*_: Any) -> None:
    # Through the stack, so that connections are closed and temporary files removed.
    sys.exit(TERMINATED)
