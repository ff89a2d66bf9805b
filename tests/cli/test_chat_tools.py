"""`sogni chat --tools`: results of tools are saved as files."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from sogni.cli.chat import Toolbox
from sogni.emulator import Call, LocalSupernet
from sogni.models.tools import ToolCall, ToolCallFunction, ToolExecutionProgress
from tests.cli.conftest import without_cost
from tests.forkserver import Process

Run = Callable[..., Result]
Start = Callable[..., Process]


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("Create an image of a kite and then turn it into a video", ["generate_image-0.png", "generate_video-1.mp4"]),
        ("Calm piano music", ["generate_music-0.mp3"]),
    ],
)  # fmt: skip
def test_tool_results_are_saved_as_files(sogni: Run, sentence: str, names: list[str]) -> None:
    result = sogni("chat", "--tools", "-o", "out", sentence)
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    assert result.stdout.splitlines()[-len(names) :] == [f"out/{name}" for name in names]
    assert all(Path("out", name).stat().st_size > 1000 for name in names)


def test_file_numbers_continue_and_json_lists_the_files(sogni: Run) -> None:
    Path("generate_image-4.png").touch()
    result = sogni("chat", "--tools", "--json", "Create an image of a kite")
    shown = json.loads(result.stdout)
    assert (result.exit_code, shown["files"]) == (0, ["generate_image-5.png"])
    assert shown["toolHistory"][0]["toolResults"][0]["success"] is True


def test_a_failed_tool_call_is_reported(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.chat.reply(Call("generate_image", {"prompt": ""}))
    result = sogni("chat", "--tools", "Draw")
    assert (result.exit_code, without_cost(result.stderr)) == (0, "sogni: generate_image: prompt is required\n")


def test_results_that_cannot_be_downloaded_can_be_saved_later(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.http("/storage/*", method="GET", status=404, times=20)
    result = sogni("chat", "--tools", "-o", "out", "Create an image of a kite")
    assert result.exit_code == 1
    hint = f"('sogni project save {supernet.projects[0]['id']}' fetches the results of the tools)"
    assert result.stderr.endswith(f"(the results of the tools were not saved) {hint}\n")


def test_an_interruption_cancels_projects_of_tools(start: Start) -> None:
    with LocalSupernet(step_time=30, token_rate=0) as slow:
        reach = {
            "SOGNI_API_KEY": slow.api_key,
            "SOGNI_REST_ENDPOINT": slow.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": slow.socket_endpoint,
        }
        process = start("chat", "--tools", "Create an image of a kite", env_extra=reach)
        slow.wait_for(lambda: slow.projects, 30)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "sogni: interrupted\n")
        assert process.returncode == 130
        slow.wait_for(lambda: slow.projects[0]["status"] == "canceled")


def test_no_tools_are_offered_without_the_option(sogni: Run) -> None:
    result = sogni("chat", "--json", "Create an image of a kite")
    shown = json.loads(result.stdout)
    assert ("files" in shown, "toolHistory" in shown) == (False, False)


def test_an_invalid_directory_is_a_usage_error(sogni: Run, supernet: LocalSupernet) -> None:
    Path("out").touch()
    assert sogni("chat", "--tools", "-o", "out", "Create an image of a kite").exit_code == 2
    assert supernet.requests == []


def test_a_terminal_shows_when_tools_start_and_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    call = ToolCall(function=ToolCallFunction(name="generate_music"))
    for status in ("creating", "queued", "processing", "completed"):
        Toolbox(Path()).print_progress(call, ToolExecutionProgress(status=status))
    assert capsys.readouterr().err == "sogni: generate_music started\nsogni: generate_music completed\n"
    assert Toolbox(Path()).save(None, None) == []  # type: ignore[arg-type]
