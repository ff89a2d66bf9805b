"""Processes that read an event stream: their end, and Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.forkserver import Process
from tests.processes.test_exit import AT_ONCE, seconds_after_last_line

pytestmark = pytest.mark.integration


Run = Callable[[str], Process]

STREAM = """
    import sys
    from sogni import SogniClient
    client = SogniClient.local(step_time=0)
    step = {"tool_name": "ask_clarifying_question", "arguments": {"question": "Which?"}}
    workflow = client.workflows.start(input={"title": "T", "steps": [step]})
    client.workflows.wait(workflow.workflow_id, timeout=30)
    events = client.workflows.stream_events(workflow.workflow_id)
    first = next(events)
    print(first.id, flush=True)
"""
ASYNC = """
    import asyncio, sys
    from sogni_async import SogniClient
    async def main():
        async with SogniClient.local(step_time=0) as client:
            step = {"tool_name": "ask_clarifying_question", "arguments": {"question": "Which?"}}
            workflow = await client.workflows.start(input={"title": "T", "steps": [step]})
            await client.workflows.wait(workflow.workflow_id, timeout=30)
            async for event in client.workflows.stream_events(workflow.workflow_id):
                print(event.id, flush=True)
    asyncio.run(main())
"""


def test_a_script_with_an_open_stream_ends(run: Run) -> None:
    printed, errors, seconds = seconds_after_last_line(run(STREAM))
    assert (printed, errors) == ("1\n", "")
    assert seconds < AT_ONCE


@pytest.mark.parametrize("code", [STREAM + "    for event in events: pass\n", ASYNC], ids=["blocking", "asyncio"])
def test_ctrl_c_leaves_a_stream_at_once(run: Run, code: str) -> None:
    process = run(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "ResourceWarning" not in errors
    assert process.returncode == -signal.SIGINT
