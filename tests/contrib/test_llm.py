"""The plugin for `llm`, in its command line and its Python API. Run by `tests/conformance/frameworks.py`."""

from __future__ import annotations

import asyncio
import doctest
import io
import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sogni
from sogni.core.chat.requests import DEFAULT_MODEL
from sogni.emulator import Answer, Call, LocalSupernet
from tests.docs.test_documented import missing

pytest.importorskip("llm", reason="llm is not installed: pip install 'sogni[llm]'")

import llm
from click.testing import CliRunner
from llm.cli import cli
from llm.plugins import load_plugins, pm
from PIL import Image

from sogni.contrib import llm as plugin

Run = Callable[..., str]


@pytest.fixture(scope="module")
def started() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as supernet:
        yield supernet


@pytest.fixture
def supernet(started: LocalSupernet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalSupernet]:
    for name in ("api_key", "rest_endpoint", "socket_endpoint"):
        monkeypatch.setenv(f"SOGNI_{name.upper()}", getattr(started, name))
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    load_plugins()
    if not pm.has_plugin("sogni"):
        pm.register(plugin, "sogni")
    yield started
    started.reset()
    assert not started.violations
    assert not [thread.name for thread in threading.enumerate() if thread.name == "sogni-reader"]


@pytest.fixture
def run(supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        ended = CliRunner().invoke(cli, arguments)
        assert ended.exit_code == code, (ended.output, ended.exception)
        assert ended.exception is None or isinstance(ended.exception, SystemExit)
        return ended.output

    return run


def sent(supernet: LocalSupernet) -> list[dict[str, Any]]:
    return [frame.data for frame in supernet.requests if getattr(frame, "type", "") == "llmJobRequest"]


def picture(width: int, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 8), "teal").save(buffer, kind)
    return buffer.getvalue()


# --- the command


def test_the_command_finds_the_plugin_and_lists_its_models_without_a_network(
    supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody is asked: this address is reserved for documentation.
    monkeypatch.setenv("SOGNI_SOCKET_ENDPOINT", "ws://192.0.2.1:9")
    command = [sys.executable, "-W", "error", "-m", "llm", "models"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"Sogni: sogni/{DEFAULT_MODEL} (aliases: sogni)" in ended.stdout.splitlines()


def test_a_prompt_is_answered_and_logged(run: Run) -> None:
    said = "You said: “What is 6 times 7?”. I am the Sogni emulator, not a language model.\n"
    assert run("-m", "sogni", "What is 6 times 7?") == said
    assert run("-m", f"sogni/{DEFAULT_MODEL}", "--no-stream", "What is 6 times 7?") == said
    (logged,) = json.loads(run("logs", "-n", "1", "--json"))
    assert (logged["input_tokens"] > 0, logged["output_tokens"] > 0) == (True, True)
    assert "costInSpark" in logged["response_json"]["cost"]


def test_models_are_those_of_the_last_connection(run: Run, tmp_path: Path) -> None:
    def listed() -> list[str]:
        return [line.split()[1] for line in run("models").splitlines() if line.startswith("Sogni: ")]

    assert listed() == [f"sogni/{DEFAULT_MODEL}"]
    run("-m", "sogni", "Hello")
    assert len(listed()) == 3
    (tmp_path / "sogni-models.json").write_text('{"models": 5}')
    assert listed() == [f"sogni/{DEFAULT_MODEL}"]
    assert len(run("sogni", "refresh").split()) == 3
    assert len(listed()) == 3


def test_a_missing_or_wrong_key_is_told(run: Run, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch) -> None:
    key = supernet.api_key
    monkeypatch.delenv("SOGNI_API_KEY")
    assert "llm keys set sogni" in run("-m", "sogni", "Hello", code=1)
    run("keys", "set", "sogni", "--value", key)
    assert "Hello" in run("-m", "sogni", "Hello")
    assert run("-m", "sogni", "Hello", "--key", "wrong-key", code=1).startswith("Error: ")
    assert "Error: " in run("sogni", "refresh", "--key", "wrong-key", code=1)


def test_a_schema_shapes_the_answer(run: Run, supernet: LocalSupernet) -> None:
    answer = run("-m", "sogni", "--schema", "name, age int", "A dog: name=Rex age=3")
    assert json.loads(answer) == {"name": "Rex", "age": 3}
    assert sent(supernet)[-1]["response_format"]["json_schema"]["schema"]["required"] == ["name", "age"]


def test_tools_are_called_and_their_results_read(run: Run) -> None:
    code = 'def get_weather(city: str) -> str:\n    "Return the weather in a city."\n    return f"snow in {city}"\n'
    assert "snow in Oslo" in run("-m", "sogni", "--functions", code, "What is the weather in Oslo?")


def test_attachments_are_scaled_and_converted(run: Run, supernet: LocalSupernet, tmp_path: Path) -> None:
    (tmp_path / "wide.webp").write_bytes(picture(3000, "WEBP"))
    assert "1024" in run("-m", "sogni", "-a", "wide.webp", "What is this?")
    (part,) = [part for part in sent(supernet)[-1]["messages"][-1]["content"] if part["type"] == "image_url"]
    assert part["image_url"]["url"].startswith("data:image/png")


def test_options_are_checked_and_sent(run: Run, supernet: LocalSupernet) -> None:
    options = {"temperature": "0.5", "max_tokens": "500", "think": "0", "stop": "emulator", "token_type": "spark"}
    run("-m", "sogni", *(word for pair in options.items() for word in ("-o", *pair)), "Hello")
    names = ("temperature", "max_tokens", "chat_template_kwargs", "stop", "tokenType")
    assert [sent(supernet)[-1].get(it) for it in names] == [0.5, 500, {"enable_thinking": False}, "emulator", "spark"]
    assert "temperature" in run("-m", "sogni", "-o", "temperature", "3", "Hello", code=1)
    assert json.loads(run("-m", "sogni", "-o", "json_object", "1", "Hello")).keys() == {"answer"}
    assert "Largest number of tokens" in run("models", "--options", "-m", "sogni")


def test_a_conversation_continues(run: Run, supernet: LocalSupernet) -> None:
    run("-m", "sogni", "-s", "Be brief", "My name is Ada")
    run("-c", "What is my name?")
    assert [message["role"] for message in sent(supernet)[-1]["messages"]] == ["system", "user", "assistant", "user"]


def test_failures_are_told(run: Run, supernet: LocalSupernet) -> None:
    supernet.chat.fail("insufficient_balance", "Nothing left")
    assert "Nothing left" in run("-m", "sogni", "Hello", code=1)


# --- the Python API


@pytest.mark.parametrize("stream", [True, False])
def test_reasoning_calls_and_usage(supernet: LocalSupernet, stream: bool) -> None:
    def look(place: str) -> Any:
        """Look at a place."""
        seen.append(place)
        return llm.ToolOutput(output="a kite", attachments=[llm.Attachment(content=picture(8, "PNG"))])

    async def asynchronously() -> tuple[list[str], Any]:
        response = llm.get_async_model("sogni").prompt("Hello", think=True, stream=stream)
        return [part.type for part in [event async for event in response.astream_events()]], await response.usage()

    seen: list[str] = []
    calls = Answer(calls=(Call("look", {"place": "here"}), Call("look", {"place": "there"})), thought="Hm.")
    supernet.chat.reply(calls, when="Look")
    responses = list(
        llm.get_model("sogni").chain("Look", tools=[look], options={"think": True}, stream=stream).responses()
    )
    assert (seen, len(responses)) == (["here", "there"], 2)
    assert "Images: 8 x 8, 8 x 8" in responses[-1].text()
    messages = sent(supernet)[-1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert [message["content"] for message in messages[1:4]] == [None, "a kite", "a kite"]
    kinds, usage = asyncio.run(asynchronously())
    assert (set(kinds), usage.output > 0) == ({"reasoning", "text"}, True)


def test_calls_that_are_no_json_are_told(supernet: LocalSupernet) -> None:
    def look(place: str) -> str:
        """Look at a place."""
        return place

    for arguments in ('{"place": ', "[1]"):
        supernet.chat.reply(Call("look", arguments))
        with pytest.raises(llm.ModelError, match=r"arguments that are not (a )?JSON"):
            llm.get_model("sogni").prompt("Look", tools=[look]).text()


def test_hooks_are_described_and_their_examples_run(supernet: LocalSupernet) -> None:
    assert plugin._DEFAULT == DEFAULT_MODEL
    for name in plugin.__all__:
        function = getattr(plugin, name)
        assert missing(function) == []
        test = doctest.DocTestParser().get_doctest(function.__doc__, {}, name, None, 0)
        assert doctest.DocTestRunner().run(test).failed == 0


def test_no_key_is_in_the_frames_of_an_error(supernet: LocalSupernet) -> None:
    for call in (
        lambda: llm.get_model("sogni").prompt("Hello", key="a-wrong-key").text(),
        lambda: asyncio.run(_text(llm.get_async_model("sogni").prompt("Hello", key="a-wrong-key"))),
    ):
        with pytest.raises(sogni.SogniError) as caught:
            call()
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        ours = [frame.f_locals for frame in frames if frame.f_globals["__name__"].startswith("sogni")]
        assert len(ours) > 1
        assert "a-wrong-key" not in str([{**found} for found in ours])


async def _text(response: Any) -> str:
    return await response.text()
