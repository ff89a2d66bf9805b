"""The plan among the examples is right, runs, and makes what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sogni import WorkflowInput
from sogni.emulator import LocalSupernet
from tests.examples.conftest import EXAMPLES, Run

pytestmark = pytest.mark.integration


def test_every_plan_is_right() -> None:
    plans = [WorkflowInput.load(path) for path in EXAMPLES.glob("*.yaml")]
    assert [plan.check() for plan in plans] == [[]]


def test_run_a_plan(tmp_path: Path, run: Run) -> None:
    with LocalSupernet(step_time=0) as supernet:
        environment = {
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }
        *statuses, still, clip = run("run_a_plan.py", **environment)
    assert statuses[-1] == "completed"
    with Image.open(tmp_path / still) as image:
        assert image.size == (768, 512)
    assert (tmp_path / clip).suffix == ".mp4"
    assert (tmp_path / clip).stat().st_size > 1000
