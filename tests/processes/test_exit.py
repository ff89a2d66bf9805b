"""The end of a process, with and without `close()`, and Ctrl-C during a wait."""

from __future__ import annotations

import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forkserver import Process
from tests.notebooks import execute
from tests.processes.conftest import start_python

pytestmark = pytest.mark.integration


Run = Callable[[str], Process]

AT_ONCE = 4.0
"""Seconds. Less than the time limit for closing a client, but more than a busy machine needs."""

GENERATE = """
    import sys, time
    from sogni import SogniClient
    client = SogniClient.local(step_time=0)
    heard = []
    project = client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt="a lighthouse",
                                     number_of_media=4, width=256, height=256, steps=2)
    project.on("progress", heard.append)
    urls = project.wait_for_completion(timeout=30)
    paths = project.save("out")
    print(len(urls), len(paths), flush=True)
"""


def seconds_after_last_line(process: Process) -> tuple[str, str, float]:
    """What it printed, and how long it lived after its last line."""
    assert process.stdout is not None
    line = process.stdout.readline()
    began = time.monotonic()
    rest, errors = process.communicate(timeout=30)
    return line + rest, errors, time.monotonic() - began


@pytest.mark.parametrize("ending", ["", "client.close()", "del client, project", "raise SystemExit(0)"])
def test_a_script_ends_by_itself(run: Run, ending: str) -> None:
    code = textwrap.dedent(GENERATE) + ending
    printed, errors, seconds = seconds_after_last_line(run(code))
    assert (printed, errors) == ("4 4\n", "")
    assert seconds < AT_ONCE


def test_a_script_ends_while_a_project_runs(run: Run) -> None:
    code = """
        from sogni import SogniClient
        client = SogniClient.local(step_time=60)
        project = client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt="x")
        print("created", flush=True)
    """
    printed, errors, seconds = seconds_after_last_line(run(code))
    assert (printed, errors) == ("created\n", "")
    assert seconds < AT_ONCE


def test_an_interactive_session(tmp_path: Path) -> None:
    process = start_python(tmp_path, "-i", "-q")
    typed = (
        textwrap.dedent(GENERATE)
        .strip()
        .replace("project.on(", "_ = project.on(")
        .replace("\n                                 ", " ")
    )
    printed, errors = process.communicate(typed + "\n", timeout=60)
    assert printed.strip() == "4 4"
    assert "Error" not in errors


def test_ctrl_c_ends_a_wait_which_can_be_repeated(run: Run) -> None:
    code = """
        import time
        from sogni.emulator import LocalSupernet
        with LocalSupernet(clock="manual") as supernet, supernet.client() as client:
            project = client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt="x", steps=4)
            for _ in range(3):
                try:
                    print("waiting", flush=True)
                    project.wait()
                except KeyboardInterrupt:
                    print(repr(time.time()), flush=True)
            supernet.clock.resume(factor=100)
            print(project.wait(timeout=30).status, flush=True)
    """
    process = run(code)
    assert process.stdout is not None
    taken = []
    for _ in range(3):
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.3)  # the wait has begun: nothing shows it from outside
        sent = time.time()
        process.send_signal(signal.SIGINT)
        taken.append(float(process.stdout.readline()) - sent)
    printed, errors = process.communicate(timeout=30)
    assert (printed, errors) == ("completed\n", "")
    # The best of three: a machine that is busy elsewhere says nothing about the wait.
    assert min(taken) < 0.5


def test_a_dropped_client_is_collected_and_its_threads_end(run: Run) -> None:
    code = """
        import gc, threading, time, weakref
        from sogni import SogniClient
        from sogni.emulator import LocalSupernet
        with LocalSupernet(step_time=0) as supernet:
            before = set(threading.enumerate())
            client = supernet.client()
            client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt="x").wait(timeout=30)
            engine = weakref.ref(client._engine)
            del client
            end = time.monotonic() + 10
            while time.monotonic() < end and (engine() or set(threading.enumerate()) - before):
                gc.collect()
                time.sleep(0.02)
            print(engine(), [thread.name for thread in set(threading.enumerate()) - before])
    """
    printed, errors = run(code).communicate(timeout=60)
    assert (printed, errors) == ("None []\n", "")


@pytest.mark.keeps_resources("the kernel's own channels belong to the library that starts it")
def test_a_notebook(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    cells = [
        textwrap.dedent(GENERATE),
        "project.wait(progress=True)",
        "project.jobs[0]",
        """
        from sogni import SogniClient
        with SogniClient.local() as client:
            stream = client.chat.completions.create(
                messages=[{"role": "user", "content": "A few words about the sea"}], stream=True
            )
            display(stream)
            whole = stream.result(timeout=30).content
        print(whole == stream.content)
        """,
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells])
    execute(notebook, tmp_path)
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    texts = [output.get("text", "") for output in outputs]
    pages = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert "4 4\n" in texts
    assert "True\n" in texts
    assert any("the sea" in page and "pre-wrap" in page for page in pages)
    assert any("<figure" in page and 'src="data:image/' in page for page in pages)
    assert [output["data"]["text/plain"][:4] for output in outputs if "image/png" in output.get("data", {})] == ["Job "]
