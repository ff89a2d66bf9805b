"""How a command ends: decides exit code and last words for everything that can happen.

Called by the command classes around everything that runs. It never shows a traceback, and never more
than one line per error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from ..errors import AuthenticationError, SogniError, SogniTimeoutError, ValidationError
from .output import naming_stdout, one_line

DONE = 0
FAILED = 1
USAGE = 2
AUTHENTICATION = 3
TIMED_OUT = 124
INTERRUPTED = 130
TERMINATED = 143


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what became of the work."""


def say(text: str) -> None:
    """Write one line to standard error; nothing happens when nobody reads there."""
    try:
        click.echo(f"sogni: {one_line(text)}", err=True)
    except OSError:
        return


def ended(run: Callable[[], Any]) -> int:
    """Run something, tell what went wrong, and return the exit code; an int that it returns is one."""
    try:
        outcome = run()
        flush_stdout()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except BrokenPipeError:
        # Whoever reads our output has had enough of it, which is no failure.
        give_up_stdout()
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        for line in lines_of(error):
            say(line)
        return code_of(error)
    return outcome if isinstance(outcome, int) else DONE


def code_of(error: BaseException) -> int:
    """The exit code of an error."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, click.UsageError):
        return USAGE
    if isinstance(error, ValidationError):
        return USAGE if found_here(error) else FAILED
    if isinstance(error, AuthenticationError):
        return AUTHENTICATION
    return TIMED_OUT if isinstance(error, SogniTimeoutError) else FAILED


def lines_of(error: BaseException) -> list[str]:
    """What an error says, on one line; several mistakes found at once have one each, with the rule if there is one."""
    findings = error.findings if isinstance(error, ValidationError) else ()
    return [f"{it} ({it.rule})" if hasattr(it, "rule") else str(it) for it in findings] or [words_of(error)]


def words_of(error: BaseException) -> str:
    """What an error says to a person."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return str(error) or "interrupted"
    if isinstance(error, click.ClickException):
        return _usage_words(error)
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return _plain_words(error) + notes


def _usage_words(error: click.ClickException) -> str:
    words = error.format_message()
    context = getattr(error, "ctx", None)
    return f"{words.rstrip('.')}; see '{context.command_path} --help'" if context else words


def _plain_words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        about = f"{error.filename}: " if error.filename else ""
        return f"{about}{error.strerror}"
    if isinstance(error, SogniError | ImportError):
        return str(error) or type(error).__name__
    return f"unexpected {type(error).__name__}: {error}"


def found_here(error: ValidationError) -> bool:
    """Whether a mistake was found before anything was sent."""
    return error.url is None


def flush_stdout() -> None:
    """Write what is still held, so that what goes wrong is told by us and not by the interpreter's end."""
    if sys.stdout is None or getattr(sys.stdout, "closed", False):
        return
    try:
        with naming_stdout():
            sys.stdout.flush()
    except OSError:
        give_up_stdout()
        raise


def give_up_stdout() -> None:
    """Let the rest of the output vanish: it cannot be written, and the interpreter tries once more at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        return
