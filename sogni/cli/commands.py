"""The classes every command is made with: decide that commands end as `ending` says.

Used by the modules of the commands. They know no command.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from ..errors import ValidationError
from .ending import ended, found_here


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

    command_class = Command

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
