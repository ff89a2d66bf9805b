"""The example of a Python function as a tool."""

from __future__ import annotations

import pytest

from tests.examples.conftest import Run

pytestmark = pytest.mark.integration


def test_own_function(run: Run) -> None:
    lines = run("own_function.py", "What is the weather in Lisbon?")
    assert lines[0] == 'get_weather({"city": "Lisbon"}) -> sun, 19 °C'
    assert "sun, 19 °C" in lines[-1]


def test_media_from_a_sentence_reports_its_tools(run: Run) -> None:
    lines = run("media_from_a_sentence.py", "Create an image of a lighthouse")
    assert lines == ["generate_image: creating", "generate_image: completed", "out/generate_image-0.png"]
