"""The terminal after a command: everything it printed, and nothing of its progress display."""

from __future__ import annotations

import ast
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import sogni.cli
from sogni.emulator import LocalSupernet
from tests.cli.conftest import without_cost
from tests.cli.terminal import Screen, Start
from tests.cli.test_progress import Work, drawn
from tests.cli.test_workflow import PLAN
from tests.forkserver import Process

pytestmark = pytest.mark.integration


Run = Callable[..., Result]
MODEL = ("--model", "flux1-schnell-fp8", "--steps", "1")
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x0dred\x08"
"""An OSC that sets the title, a CSI that clears the screen, a C1 CSI, and what overwrites the line."""
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.mark.parametrize("lines", [40, 6])
def test_all_paths_of_a_batch_stay_on_the_screen(start: Start, tmp_path: Path, lines: int) -> None:
    (tmp_path / "list.txt").write_text("".join(f"animal {number}\n" for number in range(12)))
    screen = Screen(start, "batch", "list.txt", *MODEL, lines=lines)
    assert screen.end() == 0
    saved = [path.name for path in tmp_path.glob("*.png")]
    *paths, summary = screen.everything
    assert (sorted(paths), len(saved)) == (sorted(saved), 12)
    assert summary.startswith("sogni: 12 done, 0 failed, 0 kept, cost ")


def test_errors_of_a_batch_stay_among_the_paths(start: Start, supernet: LocalSupernet, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a fox\nan owl\na hare\n")
    supernet.faults.fail_job(times=1)
    screen = Screen(start, "batch", "list.txt", *MODEL, "--concurrency", "1")
    assert screen.end() == 1
    error, *paths, summary = screen.lines
    assert "2 done, 1 failed" in summary
    assert error.startswith("sogni: line 1: ")
    assert sorted(paths) == sorted(path.name for path in tmp_path.glob("*.png"))
    again = Screen(start, "batch", "list.txt", *MODEL)
    assert again.end() == 0
    assert again.lines[1].startswith("sogni: 1 done, 0 failed, 2 kept, cost ")


def test_a_bar_is_drawn_and_only_the_paths_stay(start: Start, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    screen = Screen(start, "image", "a lighthouse", *MODEL, "-n", "2", "--name", "it-{index}", columns=50)
    screen.until("waiting: ")
    supernet.resume_workers()
    assert screen.end() == 0
    *paths, cost = screen.lines
    assert paths == ["it-0.png", "it-1.png"]
    assert cost.startswith("sogni: cost ")


def test_steps_are_drawn_and_only_the_paths_stay(start: Start, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    screen = Screen(start, "workflow", "start", "plan.json", "--watch", "-o", "out", columns=120)
    assert screen.end() == 0
    assert b"Two boats" in screen.written
    assert sorted(screen.lines) == sorted(f"out/{path.name}" for path in (tmp_path / "out").iterdir())


def test_nothing_is_drawn_on_a_terminal_that_cannot_erase(start: Start, supernet: LocalSupernet) -> None:
    screen = Screen(start, "image", "a lighthouse", *MODEL, "--name", "it", env_extra={"TERM": "dumb"})
    assert screen.end() == 0
    assert without_cost(screen.written.decode()) == "it.png\r\n"


def test_control_characters_of_a_streamed_answer_are_escaped(start: Start, supernet: LocalSupernet) -> None:
    supernet.chat.reply(f"before {EVIL} after\nnext")
    screen = Screen(start, "chat", "hello")
    assert screen.end() == 0
    assert screen.lines[:-1] == [r"before \x1b]0;owned\x07\x1b[2J\x9b31m\x0dred\x08 after", "next"]
    assert not CONTROLS.search(screen.written.decode().replace("\r\n", "\n"))


def test_control_characters_never_reach_a_terminal(sogni: Run, supernet: LocalSupernet, tmp_path: Path) -> None:
    supernet.chat.reply(EVIL)
    supernet.chat.reply(EVIL)
    supernet.chat.fail("model_unavailable", EVIL)
    supernet.faults.fail_job(message=EVIL)
    supernet.faults.http("/v1/account/me", status=403, message=EVIL, times=99)
    printed = [
        sogni("chat", "hello"),
        sogni("chat", "hello", "--json"),
        sogni("chat", "hello"),
        sogni("image", "a fox", *MODEL),
        sogni("account", "me"),
        sogni("models", "--media", EVIL),
    ]
    for result in printed:
        assert not CONTROLS.search((result.stdout + result.stderr).replace("\n", ""))
        assert "owned" in result.stdout + result.stderr
    assert json.loads(printed[1].stdout)["content"] == EVIL


def test_control_characters_in_a_drawing_are_escaped() -> None:
    (_, row) = drawn(Work(jobs=[Work(status="\x9bK", worker_name="w\x1b]0;t\x07")]), 90)
    assert r"image 1 \x9bK" in row
    assert row.rstrip().endswith(r"w\x1b]0;t\x07")


def test_a_path_on_a_terminal_has_no_control_characters(start: Start, tmp_path: Path) -> None:
    screen = Screen(start, "image", "a lighthouse", *MODEL, "--name", "it", "-o", "\x1b]0;owned\x07")
    assert screen.end() == 0
    assert screen.lines[:-1] == [r"\x1b]0;owned\x07/it.png"]
    assert (tmp_path / "\x1b]0;owned\x07" / "it.png").exists()


def test_untrusted_text_is_written_by_one_module() -> None:
    """Everything else goes through it, so that nothing is forgotten."""
    writers = {
        path.stem: [ast.unparse(call) for call in ast.walk(ast.parse(path.read_text())) if _writes(call)]
        for path in Path(sogni.cli.__file__).parent.glob("*.py")
    }
    assert {name: calls for name, calls in writers.items() if calls and name not in ("output", "exit_codes")} == {
        "chat": ["click.echo('> ', nl=False, err=True)", "click.echo()"],
        "emulator": ["click.echo('Press Ctrl-C to stop the emulator.', err=True)"],
        "program": ["click.echo(context.get_help(), err=True)"],
        "__init__": ["print('sogni: interrupted', file=sys.stderr)"],
    }


def _writes(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return ast.unparse(node.func) in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write")


@pytest.mark.parametrize("columns", [30, 90])
def test_the_bar_of_the_library_is_one_line(
    reach: dict[str, str], tmp_path: Path, start_process: Start, columns: int
) -> None:
    script = (
        "import sogni\n"
        "with sogni.SogniClient() as client:\n"
        f"    project = client.projects.create(type='image', model_id={MODEL[1]!r}, positive_prompt='a fox', steps=3)\n"
        "    project.wait(progress=True)\n"
    )

    def start(code: str, env_extra: dict[str, str], **streams: Any) -> Process:
        return start_process(code, cwd=tmp_path, env={**reach, **env_extra}, **streams)

    screen = Screen(start, script, columns=columns)
    assert screen.end() == 0
    assert screen.lines == [f"{'█' * min(30, columns - 18)} 100% completed"]


# --- encodings


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_characters_missing_in_the_encoding_are_escaped(start: Start, supernet: LocalSupernet, encoding: str) -> None:
    supernet.chat.reply("größer ≥ 語")
    process = start("chat", "hello", env_extra={"PYTHONIOENCODING": encoding}, text=False)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, without_cost(stderr.decode())) == (0, "")
    expected = "größer ≥ 語\n"
    # click takes ASCII for a mistake, and writes UTF-8.
    assert stdout == expected.encode("utf-8" if encoding == "ascii" else encoding, "backslashreplace")


def test_streamed_characters_missing_in_the_encoding_are_escaped(start: Start, supernet: LocalSupernet) -> None:
    supernet.chat.reply("größer ≥ 語")
    screen = Screen(start, "chat", "hello", env_extra={"PYTHONIOENCODING": "latin-1"})
    assert screen.end() == 0
    assert without_cost(screen.written.decode("latin-1")) == "größer \\u2265 \\u8a9e\r\n"


def test_a_lone_surrogate_is_escaped(start: Start, supernet: LocalSupernet) -> None:
    supernet.chat.reply("half \ud83d")
    stdout, stderr = start("chat", "hello").communicate(timeout=30)
    assert (stdout, without_cost(stderr)) == ("half \\ud83d\n", "")


def test_a_table_is_printed_in_any_encoding(start: Start) -> None:
    screen = Screen(start, "models", columns=200, env_extra={"PYTHONIOENCODING": "latin-1"})
    assert screen.end() == 0
    assert screen.everything[0].split() == ["model", "workers", "media", "name"]


def test_a_command_can_be_interrupted_while_it_draws(start: Start, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    screen = Screen(start, "image", "a lighthouse", *MODEL)
    screen.until("waiting: ")
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 130
    assert screen.lines[-1].endswith("was canceled")
