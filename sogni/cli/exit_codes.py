"""How a command ends: decides exit code and last words for everything that can happen.

Called by the command classes around everything that runs. It never shows a traceback, and never more
than one line per error.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from sogni.cli.output import naming_stdout, one_line
from sogni.errors import AuthenticationError, SogniError, SogniTimeoutError, ValidationError

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


# The classes every command is made with: decide that commands end as `ending` says.
#
# Used by the modules of the commands. They know no command.


class Command(click.Command):
    """A command; a value the library refuses is told with the name of its option."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ValidationError as error:
            if not found_here(error) or error.findings:
                raise
            raise click.UsageError(_with_option(ctx, error)) from error


class Group(click.Group):
    """Commands under one name."""

    command_class: type[click.Command] | None = Command

    def __init__(self, *args: Any, **settings: Any) -> None:
        # Without a command there is one line about it, as for any other mistake.
        super().__init__(*args, **{"no_args_is_help": False, **settings})


class Program(Group):
    """The outermost group: whatever happens becomes an exit code and at most one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        invoke = super().invoke
        ctx.exit(ended(lambda: invoke(ctx)))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run with these arguments and exit; without `standalone_mode`, return the exit code."""
        run = super().main
        given = {**extra, "windows_expand_args": windows_expand_args}
        code = ended(lambda: run(args, prog_name, complete_var, standalone_mode=False, **given))
        if standalone_mode:
            sys.exit(code)
        return code


def _with_option(ctx: click.Context, error: ValidationError) -> str:
    """The message of an error, with the option's name in place of the field's."""
    words, field = str(error), str(error.field)
    parameter = _parameter(ctx.command, field)
    if parameter is None:
        return words
    shown = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else str(parameter.metavar)
    if words.startswith(field):
        return shown + words.removeprefix(field)
    return f"{shown}: {words}"


def _parameter(command: click.Command, field: str) -> click.Parameter | None:
    """What on the command line stands for a field, also for one within another (`control_net.image`, `loras[1]`)."""
    whole, outer = field.partition("[")[0].replace(".", "_"), re.split(r"[.\[]", field)[0]
    named = {it.name: it for it in command.params}
    return named.get(whole) or named.get(outer)
