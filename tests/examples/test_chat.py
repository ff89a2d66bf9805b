"""The examples of chats run against the emulator."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.examples.conftest import Run

pytestmark = pytest.mark.integration


def test_one_answer(run: Run) -> None:
    text, cost = run("chat.py", "What is 7 times 8?")
    assert "7 times 8" in text
    assert cost.endswith(" Sogni")


def test_an_answer_while_it_is_written(run: Run) -> None:
    text, worker = run("chat_stream.py")
    assert "sea" in text
    assert worker.startswith("by ")


def test_several_answers_at_once(run: Run) -> None:
    assert ["capital" in line for line in run("chat_async.py")] == [True] * 3


def test_a_conversation_goes_on(run: Run) -> None:
    first = run("chat_conversation.py")
    assert "What is my name?" in first[3]
    assert (first[-1], run("chat_conversation.py")[-1]) == ("talk.json has 4 messages", "talk.json has 8 messages")


def test_an_answer_as_an_instance(run: Run) -> None:
    title, *steps = run("chat_structured.py", "soup")
    assert title
    assert all(step.startswith("- ") and step.endswith("minutes)") for step in steps)


def test_a_question_about_a_picture(tmp_path: Path, run: Run) -> None:
    Image.new("RGB", (2000, 500), "red").save(tmp_path / "banner.png")
    assert "1024 x 256" in " ".join(run("chat_vision.py", "banner.png"))


def test_a_conversation_about_pictures(run: Run) -> None:
    first, second, _ = run("chat_vision_conversation.py")
    assert ("320 x 240" in first, "320 x 240" in second) == (True, True)
