"""Input of commands: endless standard input, named pipes, byte order marks."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import pytest
from click.testing import Result

from sogni.emulator import LocalSupernet
from tests.cli.conftest import requested, without_cost
from tests.cli.test_chat import asked
from tests.forkserver import Process

Run = Callable[..., Result]
Start = Callable[..., Process]
MARK = b"\xef\xbb\xbf"


def test_a_prompt_does_not_wait_for_an_idle_pipe(start: Start, supernet: LocalSupernet) -> None:
    process = start("chat", "What is 6 times 7?", stdin=PIPE)
    assert process.wait(timeout=30) == 0
    stdout, stderr = process.communicate()
    assert "6 times 7" in str(stdout)
    assert without_cost(str(stderr)) == "sogni: no standard input within 3 seconds; using PROMPT alone\n"
    assert [request["messages"][-1]["content"] for request in asked(supernet)] == ["What is 6 times 7?"]


@pytest.mark.parametrize(
    ("command", "content"),
    [
        (("chat",), b""),
        (("chat", "What is this?"), b"begun"),
        (("batch", "-"), b"a fox\n"),
        (("music", "a shanty", "--lyrics", "@-"), b"la"),
        (("image", "a fox", "--api-key-file", "-"), b"key"),
        (("batch", "pipe"), b""),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else "",
)
def test_a_time_limit_ends_the_wait_for_input(
    start: Start, supernet: LocalSupernet, tmp_path: Path, command: tuple[str, ...], content: bytes
) -> None:
    os.mkfifo(tmp_path / "pipe")
    process = start(*command, "--timeout", "0.5", stdin=PIPE, text=False)
    assert process.stdin is not None
    process.stdin.write(content)
    process.stdin.flush()
    assert process.wait(timeout=30) == 124
    assert process.stderr is not None
    what = b"pipe" if command[-1] == "pipe" else b"standard input"
    assert process.stderr.read() == b"sogni: " + what + b" did not end within 0.5 seconds\n"
    assert (asked(supernet), requested(supernet)) == ([], [])


def test_ctrl_c_ends_the_wait_for_input(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    process = start("batch", "pipe")
    with open(tmp_path / "pipe", "wb"):  # waits until it is opened on the other side, too
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


def test_byte_order_marks_are_ignored(sogni: Run, supernet: LocalSupernet, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    files = {
        "schema.json": json.dumps(schema).encode(),
        "key": supernet.api_key.encode() + b"\r\n",
        "list.txt": b"# animals\na fox\n",
        "lyrics": b"la la",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(MARK + content)
    answer = sogni("chat", "How many?", "--json-schema", "schema.json")
    assert (answer.exit_code, set(json.loads(answer.stdout))) == (0, {"n"})
    assert sogni("chat", input=MARK + b"hello").exit_code == 0
    assert asked(supernet)[-1]["messages"][-1]["content"] == "hello"
    assert sogni("account", "--api-key-file", "key").exit_code == 0
    assert sogni("account", "--api-key-file", "-", input=MARK + files["key"]).exit_code == 0
    assert sogni("batch", "list.txt", "--model", "flux1-schnell-fp8", "--steps", "1").exit_code == 0
    assert sogni("music", "a shanty", "--lyrics", "@lyrics", "--duration", "10").exit_code == 0
    image, music = [request["keyFrames"][0] for request in requested(supernet)]
    assert (image["positivePrompt"], music["lyrics"]) == ("a fox", "la la")
