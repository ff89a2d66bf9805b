"""`sogni chat`: one answer, or a conversation on a terminal."""

from __future__ import annotations

import errno
import json
import os
import pty
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.cli.conftest import without_cost
from tests.forkserver import Process

Run = Callable[..., Result]
Start = Callable[..., Process]
STORY = "Tell me a story"


def asked(supernet: LocalSupernet) -> list[dict[str, Any]]:
    """The completion requests that arrived."""
    return [it.data for it in supernet.requests if getattr(it, "type", None) == "llmJobRequest"]


def test_only_the_answer_is_printed(sogni: Run) -> None:
    result = sogni("chat", "What is 6 times 7?")
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    assert "6 times 7" in result.stdout


def test_standard_input_is_sent_after_the_prompt(sogni: Run, supernet: LocalSupernet) -> None:
    assert sogni("chat", input="What is 6 times 7?\n").exit_code == 0
    assert sogni("chat", "In one word:", input="größer\n").exit_code == 0
    assert [request["messages"][-1]["content"] for request in asked(supernet)] == [
        "What is 6 times 7?", "In one word:\n\ngrößer",
    ]  # fmt: skip


def test_every_option_reaches_the_service(sogni: Run, supernet: LocalSupernet) -> None:
    Image.new("RGB", (2000, 100), "red").save("wide.png")
    Image.new("RGB", (8, 8), "red").save("small.jpg")
    result = sogni(
        *("chat", "What colour is this?", "--model", "qwen3-vl-4b-instruct-fp8", "--system", "Be brief."),
        *("--image", "wide.png", "-i", "small.jpg", "--max-tokens", "50", "--temperature", "0.5", "--token", "spark"),
        "--think",
    )
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    (request,) = asked(supernet)
    system, question = request.pop("messages")
    assert system == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in question["content"]] == ["text", "image_url", "image_url"]
    assert {name: request[name] for name in ("model", "max_tokens", "temperature", "tokenType")} == {
        "model": "qwen3-vl-4b-instruct-fp8", "max_tokens": 50, "temperature": 0.5, "tokenType": "spark",
    }  # fmt: skip
    assert request["chat_template_kwargs"] == {"enable_thinking": True}


def test_thinking_is_not_printed(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.chat.reply("yes", thought="Hm, let me see.")
    assert sogni("chat", "Is it?", "--think").stdout == "yes\n"


def test_json_is_the_whole_result(sogni: Run) -> None:
    document = json.loads(sogni("chat", "What is 6 times 7?", "--json").stdout)
    assert "6 times 7" in document["content"]
    assert (document["finishReason"], document["usage"]["completion_tokens"] > 0) == ("stop", True)
    assert "parsed" not in document


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_an_answer_can_follow_a_json_schema(sogni: Run, supernet: LocalSupernet) -> None:
    Path("schema.json").write_text(json.dumps(SCHEMA))
    document = json.loads(sogni("chat", "How many legs has a spider?", "--json-schema", "schema.json").stdout)
    assert set(document) == {"n"}
    assert asked(supernet)[0]["response_format"]["json_schema"]["schema"] == SCHEMA
    whole = json.loads(sogni("chat", "How many?", "--json-schema", "schema.json", "--json").stdout)
    assert json.loads(whole["content"]) == whole["parsed"]


def test_an_answer_that_is_not_json_is_a_failure(sogni: Run, supernet: LocalSupernet) -> None:
    Path("schema.json").write_text(json.dumps(SCHEMA))
    supernet.chat.reply("eight")
    result = sogni("chat", "How many?", "--json-schema", "schema.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert without_cost(result.stderr).startswith("sogni: the answer is not JSON")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no question"),
        (["--json"], "--json and --json-schema require a PROMPT"),
        (["hi", "--image", "nowhere.png"], "cannot read nowhere.png"),
        (["hi", "--image", "text.png"], "--image text.png: image is not an image that Pillow can read"),
        (["hi", "--json-schema", "nowhere.json"], "No such file"),
        (["hi", "--json-schema", "text.png"], "Expecting value"),
        (["hi", "--json-schema", "list.json"], "does not contain a JSON schema"),
        (["hi", "--max-tokens", "0"], "--max-tokens"),
    ],
)
def test_mistakes_are_found_before_anything_is_sent(
    sogni: Run, supernet: LocalSupernet, arguments: list[str], words: str
) -> None:
    Path("text.png").write_text("text")
    Path("list.json").write_text("[]")
    result = sogni("chat", *arguments)
    assert (result.exit_code, result.stdout, supernet.requests) == (2, "", [])
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_bytes_that_are_not_text_are_rejected(sogni: Run) -> None:
    result = sogni("chat", input=b"\xff")
    assert (result.exit_code, result.stderr.splitlines()[0].startswith("sogni: standard input is not UTF-8 text")) == (
        2,
        True,
    )


def test_rejections_by_the_service_are_one_line(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.chat.fail("model_unavailable", "No such model")
    result = sogni("chat", "hello")
    assert (result.exit_code, result.stdout, without_cost(result.stderr)) == (1, "", "sogni: No such model\n")


def test_a_slow_answer_times_out(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.chat.rate(1)
    assert sogni("chat", STORY, "--timeout", "0.3").exit_code == 124


# --- on a terminal


class Terminal:
    """A person at a terminal."""

    def __init__(self, start: Start, *arguments: str) -> None:
        self.ours, theirs = pty.openpty()
        self.process = start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.shown = ""

    def sees(self, text: str) -> None:
        """Wait until the terminal shows a text."""
        while text not in self.shown:
            assert self.reads(), f"no {text!r} in {self.shown!r}"

    def reads(self) -> bool:
        assert select.select([self.ours], [], [], 20)[0], f"nothing comes after {self.shown!r}"
        try:
            piece = os.read(self.ours, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self.shown += piece.decode(errors="replace").replace("\r\n", "\n")
        return bool(piece)

    def types(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def ends(self) -> int:
        while self.reads():
            pass
        os.close(self.ours)
        return self.process.wait(20)


def test_a_conversation_on_a_terminal_ends_with_its_input(start: Start, supernet: LocalSupernet) -> None:
    terminal = Terminal(start, "chat", "--system", "You are a helpful assistant.")
    terminal.sees("> ")
    terminal.types("My name is Ada.\n\n")
    terminal.types("What is my name?\n")
    terminal.sees("You said: “What is my name?”")
    supernet.chat.fail("model_unavailable", "No such model", when="fails")
    terminal.types("this fails\n")
    terminal.sees("sogni: No such model")
    terminal.types("/exit\n")
    assert terminal.ends() == 0
    last = asked(supernet)[1]["messages"]
    assert [message["role"] for message in last] == ["system", "user", "assistant", "user"]


def test_ctrl_d_ends_a_conversation(start: Start) -> None:
    terminal = Terminal(start, "chat")
    terminal.sees("> ")
    terminal.types("\x04")
    assert terminal.ends() == 0


def test_ctrl_c_cancels_an_answer_and_exits_at_the_prompt(start: Start, supernet: LocalSupernet) -> None:
    supernet.chat.rate(20)
    supernet.chat.reply("the sea " * 60)
    terminal = Terminal(start, "chat")
    terminal.sees("> ")
    terminal.types(STORY + "\n")
    terminal.sees("the sea")
    while len(terminal.shown.split()) < 20:
        terminal.reads()
    terminal.process.send_signal(signal.SIGINT)
    terminal.sees("interrupted")
    terminal.sees("bills it\n> ")
    # One that comes between the prompt and the waiting for a key is noticed with the next key only.
    while terminal.process.poll() is None:
        terminal.process.send_signal(signal.SIGINT)
        with suppress(TimeoutExpired):
            terminal.process.wait(1)
    assert terminal.ends() == 130


def test_a_canceled_answer_ends_with_a_line_break(start: Start, supernet: LocalSupernet) -> None:
    supernet.chat.rate(20)
    supernet.chat.reply("the sea " * 60)
    terminal = Terminal(start, "chat", STORY)
    terminal.sees("the sea")
    terminal.process.send_signal(signal.SIGINT)
    terminal.sees("\nsogni: interrupted\n")
    assert terminal.ends() == 130


def test_commands_of_a_conversation(start: Start, supernet: LocalSupernet, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    (tmp_path / "chat.json").write_text("kept")
    terminal = Terminal(start, "chat")
    for line, shown in (
        ("/help", "/image FILE"),
        ("/imag red.png", "there is no command /imag; did you mean '/image'?"),
        ("/image none.png", "cannot read none.png: No such file"),
        ("/image red.png", "red.png belongs to the next question"),
        ("What colour is this?", "> "),
        ("/save", "chat-1.json"),
        ("/save chat-1.json", "chat-1.json"),
        ("/save chat.json", "chat.json exists: give another name"),
        ("/tools", "tools are on"),
        ("/tools", "tools are off"),
        ("/new", "the conversation is forgotten"),
        ("What is 6 times 7?", "You said"),
    ):
        terminal.sees("> ")
        terminal.shown = ""
        terminal.types(f"{line}\n")
        terminal.sees(shown)
    terminal.types("/exit\n")
    assert terminal.ends() == 0
    assert "sogni: cost 0." in terminal.shown
    first, last = (request["messages"] for request in asked(supernet))
    assert [part["type"] for part in first[-1]["content"]] == ["text", "image_url"]
    assert [message["content"] for message in last] == ["What is 6 times 7?"]
    assert (tmp_path / "chat.json").read_text() == "kept"
    assert "What colour is this?" in (tmp_path / "chat-1.json").read_text()


def test_tools_can_be_switched_on_in_a_conversation(start: Start, tmp_path: Path) -> None:
    terminal = Terminal(start, "chat", "-o", "out")
    terminal.sees("> ")
    terminal.types("/tools\n")
    terminal.sees("tools are on")
    terminal.types("Create an image of a kite\n")
    terminal.sees("out/")
    terminal.types("/exit\n")
    assert terminal.ends() == 0
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_several_answers_know_nothing_of_each_other(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.chat.reply("42", times=4)
    result = sogni("chat", "What is 6 times 7?", "-n", "2")
    assert (result.exit_code, result.stdout) == (0, "42\n\n42\n")
    assert [len(request["messages"]) for request in asked(supernet)] == [1, 1]
    documents = json.loads(sogni("chat", "What is 6 times 7?", "-n", "2", "--json").stdout)
    assert [it["content"] for it in documents] == ["42"] * 2


@pytest.mark.parametrize("prompt", ["", "  "])
def test_an_empty_prompt_sends_nothing(start: Start, supernet: LocalSupernet, prompt: str) -> None:
    terminal = Terminal(start, "chat", prompt)
    assert (terminal.ends(), terminal.shown) == (2, "sogni: PROMPT must not be empty; see 'sogni chat --help'\n")
    assert start("chat", prompt).wait(30) == 2
    assert asked(supernet) == []


def test_the_prompt_is_not_written_to_redirected_output(start: Start, supernet: LocalSupernet, tmp_path: Path) -> None:
    supernet.chat.reply("42")
    with (tmp_path / "answers").open("w") as answers:
        ours, theirs = pty.openpty()
        process = start("chat", stdin=theirs, stdout=answers)
        os.close(theirs)
        os.write(ours, b"What is 6 times 7?\n\x04")
        _, stderr = process.communicate(timeout=30)
        os.close(ours)
    assert (process.returncode, stderr.startswith("> > sogni: cost 0.")) == (0, True)
    assert (tmp_path / "answers").read_text() == "42\n\n"
