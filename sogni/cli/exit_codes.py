"""Exit codes and error messages of commands, and the click classes that apply them.

Every error is printed as one line on standard error, never as a traceback.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import click

from sogni.cli.output import name_stdout_in_errors, one_line
from sogni.display import on_terminal
from sogni.errors import AuthenticationError, CostLimitError, SogniError, SogniTimeoutError, ValidationError

DONE = 0
FAILED = 1
USAGE = 2
AUTHENTICATION = 3
OVER_BUDGET = 4
"""A batch that stopped at its cost limit, or without balance."""
BUSY = 5
"""A batch whose journal another run is using."""
TIMED_OUT = 124
INTERRUPTED = 130
TERMINATED = 143

TOKEN_NAMES = {"spark": "Spark", "sogni": "Sogni"}


OPTION_GROUPS = (PROJECT, FILES, SOME_MODELS) = ("Project", "Files", "Only for some models")
"""Headings of options in the help of a command, in order."""

OPTIONS, SHARED = "Options", "Output and service"
"""Headings for options without a group, and for those that many commands share."""

_SHARED_OPTIONS = frozenset(
    {"local", "as_json", "network", "api_key_file", "output_dir", "name", "overwrite", "opening"}
)


_MAX_SUMMARY = 200
_OPTION_OF = {"lora_strengths": "loras"}
"""Fields that share the option of another one."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a message about the state of the work."""


def print_stderr(text: str) -> None:
    """Print one line to standard error. Write errors are ignored."""
    try:
        click.echo(f"sogni: {one_line(text)}", err=True)
    except OSError:
        return


def print_note(text: str) -> None:
    """Print one line to standard error that is neither an error nor a result; `--quiet` suppresses it."""
    if not is_quiet():
        print_stderr(text)


def print_cost(cost: Decimal | None, token: str | None) -> None:
    """Print the cost of a command like a note, if the service has reported it."""
    if cost is not None:
        print_note(f"cost {cost:f} {'' if token is None else TOKEN_NAMES.get(token, token)}".rstrip())


def is_quiet() -> bool:
    """Whether the command line was given `--quiet`."""
    return bool(_root_params().get("quiet"))


def shows_progress() -> bool:
    """Whether progress is drawn: on a terminal, unless `--quiet` or the log of `--verbose` writes to it."""
    return on_terminal(sys.stderr) and not is_quiet() and not _root_params().get("verbose")


def _root_params() -> dict[str, Any]:
    context = click.get_current_context(silent=True)
    return {} if context is None else context.find_root().params


def run_to_exit_code(run: Callable[[], Any]) -> int:
    """Call `run`, print its error, and return the exit code, which `run` may return as an int."""
    try:
        outcome = run()
        flush_stdout()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except BrokenPipeError:
        # The reader has closed the pipe, which is not a failure.
        discard_stdout()
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        # What a failed write has left in the buffer would fail again.
        with suppress(OSError):
            flush_stdout()
        for line in error_lines(error):
            print_stderr(line)
        return exit_code_of(error)
    return outcome if isinstance(outcome, int) else DONE


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an error."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, click.UsageError):
        return USAGE
    if isinstance(error, ValidationError):
        return USAGE if found_locally(error) else FAILED
    if isinstance(error, AuthenticationError):
        return AUTHENTICATION
    return TIMED_OUT if isinstance(error, SogniTimeoutError) else FAILED


def error_lines(error: BaseException) -> list[str]:
    """Return the message of an error, or one line per finding with its rule if it has several."""
    findings = error.findings if isinstance(error, ValidationError) else ()
    return [f"{it} ({it.rule})" if hasattr(it, "rule") else str(it) for it in findings] or [error_text(error)]


def error_text(error: BaseException) -> str:
    """Return the message of an error, notes included."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return str(error) or "interrupted"
    if isinstance(error, click.ClickException):
        return _usage_error_text(error)
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return _plain_error_text(error) + notes


def _usage_error_text(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    joint = " See" if message.endswith("?") else "; see"
    return f"{message.rstrip('.')}{joint} '{context.command_path} --help'"


def _plain_error_text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        prefix = f"{error.filename}: " if error.filename else ""
        return f"{prefix}{error.strerror}"
    if isinstance(error, CostLimitError):
        return str(error).replace("max_cost=", "--max-cost ")
    if isinstance(error, SogniError | ImportError):
        return str(error) or type(error).__name__
    return f"unexpected {type(error).__name__}: {error}"


def found_locally(error: ValidationError) -> bool:
    """Return whether an error was detected before anything was sent."""
    return error.url is None


def flush_stdout() -> None:
    """Flush standard output, so that a write error is reported here and not at interpreter exit."""
    if sys.stdout is None or getattr(sys.stdout, "closed", False):
        return
    try:
        with name_stdout_in_errors():
            sys.stdout.flush()
    except OSError:
        discard_stdout()
        raise


def discard_stdout() -> None:
    """Redirect standard output to the null device: it cannot be written, and the interpreter flushes it at exit."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError, AttributeError):
        return


class _Summarized(click.Command):
    """A command whose summary in lists of commands is its whole first sentence."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help, which click would cut."""
        return super().get_short_help_str(max(limit, _MAX_SUMMARY))


class Command(_Summarized):
    """A command that reports invalid values with the name of their option."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ValidationError as error:
            if not found_locally(error) or error.findings:
                raise
            raise click.UsageError(_with_option(ctx, error)) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each group under its heading, and last those that many commands have."""
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in (*OPTION_GROUPS, OPTIONS, SHARED)}
        options = [it for it in self.get_params(ctx) if isinstance(it, click.Option)]
        shared = [it for it in options if it.name in _SHARED_OPTIONS or "--help" in it.opts]
        # Where all else has a heading, what remains belongs to how the command runs; alone, it needs none.
        grouped = any(getattr(it, "group", "") for it in options)
        rest, last = (SHARED, SHARED) if grouped else (OPTIONS, OPTIONS if shared == options else SHARED)
        for option in options:
            if (record := option.get_help_record(ctx)) is not None:
                groups[getattr(option, "group", "") or (last if option in shared else rest)].append(record)
        for group, records in groups.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)


class Group(_Summarized, click.Group):
    """A group of commands."""

    command_class: type[click.Command] | None = Command

    def __init__(self, *args: Any, **settings: Any) -> None:
        # A missing command is reported on one line, like any other mistake.
        super().__init__(*args, **{"no_args_is_help": False, **settings})


class Program(Group):
    """The outermost group, which turns every outcome into an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the requested command."""
        invoke = super().invoke
        ctx.exit(run_to_exit_code(lambda: invoke(ctx)))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run with these arguments, then exit, or return the exit code without `standalone_mode`."""
        run = super().main
        given = {**extra, "windows_expand_args": windows_expand_args}
        code = run_to_exit_code(lambda: run(args, prog_name, complete_var, standalone_mode=False, **given))
        if standalone_mode:
            sys.exit(code)
        return code


def _with_option(ctx: click.Context, error: ValidationError) -> str:
    """Return the message of an error with the name of the field replaced by that of its option."""
    message, field = str(error), str(error.field)
    parameter = _parameter(ctx.command, field)
    if parameter is None:
        return message
    name = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else str(parameter.metavar)
    if message.startswith(field):
        return name + message.removeprefix(field)
    return f"{name}: {message}"


def _parameter(command: click.Command, field: str) -> click.Parameter | None:
    """Return the parameter of a field, nested ones (`control_net.image`, `loras[1]`) included."""
    whole, outer = field.partition("[")[0].replace(".", "_"), re.split(r"[.\[]", field)[0]
    outer = _OPTION_OF.get(outer, outer)
    named = {it.name: it for it in command.params}
    return named.get(whole) or named.get(outer)
