"""The examples of durable chats and workflows."""

from __future__ import annotations

from pathlib import Path

import pytest

from sogni.emulator import LocalSupernet
from tests.examples.conftest import Run
from tests.examples.test_examples import size

pytestmark = pytest.mark.integration


def test_a_chat_asks_before_it_spends(tmp_path: Path, run: Run) -> None:
    lines = run("durable_chat.py", "Create an image of a kite, width=256 height=256")
    assert any(line.startswith("approved ") for line in lines)
    assert (lines[-2], size(tmp_path / lines[-1])) == ("completed", (256, 256))


def test_a_workflow_is_started_and_watched_by_another_client(tmp_path: Path, run: Run) -> None:
    with LocalSupernet(step_time=0) as supernet:
        environment = {
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }
        lines = run("teaser.py", "a blue boat", **environment)
        again = run("teaser.py", "--watch", lines[0].removeprefix("started "), **environment)
    assert lines[1:] == again
    assert again[:3] == ["queued", "running", "completed"]
    assert [Path(path).suffix for path in again[3:]] == [".png", ".mp4"]
    assert size(tmp_path / again[3]) == (512, 512)
