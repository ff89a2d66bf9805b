"""Exit codes and error messages of commands."""

from __future__ import annotations

import click
import pytest

from sogni.cli.exit_codes import Interrupted, error_text, exit_code_of, run_to_exit_code
from sogni.cli.program import sogni
from sogni.errors import (
    AuthenticationError,
    ConnectionRejectedError,
    CostLimitError,
    PermissionDeniedError,
    ProjectCanceledError,
    SogniTimeoutError,
    ValidationError,
)
from tests.tables import each_row

CONTEXT = click.Context(sogni, info_name="sogni")


@each_row(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (Interrupted("interrupted; project A was canceled"), 130),
        (click.Abort(), 130),
        (click.UsageError("wrong"), 2),
        (ValidationError("wrong", field="steps"), 2),
        (ValidationError("wrong", method="POST", url="https://api.example.test/"), 1),
        (AuthenticationError("who are you", status=401), 3),
        (PermissionDeniedError("not yours", status=403), 1),
        (ConnectionRejectedError("displaced", close_code=4015), 1),
        (SogniTimeoutError("late", phase="connect"), 124),
        (ProjectCanceledError("canceled"), 1),
        (FileNotFoundError(2, "No such file or directory", "x.png"), 1),
        (RuntimeError("a mistake of ours"), 1),
    ],
    ids=lambda it: type(it).__name__ if isinstance(it, BaseException) else str(it),
)
def test_every_error_has_an_exit_code(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


def noted(error: Exception) -> Exception:
    error.add_note("while uploading starting_image")
    return error


@each_row(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (Interrupted("interrupted; it was canceled"), "interrupted; it was canceled"),
        (click.FileError("key", "No such file"), "Could not open file 'key': No such file"),
        (noted(ProjectCanceledError("canceled")), "canceled (while uploading starting_image)"),
        (PermissionError(13, "Permission denied", "out/x.png"), "out/x.png: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError("a mistake of ours"), "unexpected RuntimeError: a mistake of ours"),
        (ModuleNotFoundError("the emulator needs numpy"), "the emulator needs numpy"),
        (CostLimitError("the estimated cost of 2 exceeds max_cost=1"), "the estimated cost of 2 exceeds --max-cost 1"),
        (click.UsageError("No command 'a'.", CONTEXT), "No command 'a'; see 'sogni --help'"),
        (click.UsageError("No 'a'. Did you mean 'b'?", CONTEXT), "No 'a'. Did you mean 'b'? See 'sogni --help'"),
    ],
    ids=lambda it: type(it).__name__ if isinstance(it, BaseException) else "",
)
def test_every_error_has_a_message(error: BaseException, words: str) -> None:
    assert error_text(error) == words


def test_a_list_of_commands_shows_whole_sentences() -> None:
    shown = sogni.get_help(click.Context(sogni, info_name="sogni", terminal_width=50))
    assert "Serve tools for agents over the Model Context" in " ".join(shown.split())
    assert "..." not in shown.partition("Commands:")[2]


def test_a_multiline_error_is_printed_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        raise ProjectCanceledError("first\nsecond\r\n  third")

    assert run_to_exit_code(run) == 1
    assert capsys.readouterr() == ("", "sogni: first second third\n")


def test_a_command_can_choose_its_exit_code() -> None:
    assert [run_to_exit_code(lambda: 3), run_to_exit_code(lambda: None), run_to_exit_code(lambda: "text")] == [3, 0, 0]
