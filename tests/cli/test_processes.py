"""Commands as processes: signals, pipes, closed streams and terminals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from sogni import SogniClient
from sogni.emulator import LocalSupernet
from tests.cli.conftest import saved_later, without_cost
from tests.forkserver import ROOT, Process

pytestmark = pytest.mark.integration


Start = Callable[..., Process]


def running(supernet: LocalSupernet) -> bool:
    return any(project["status"] in ("active", "processing", "queued", "pending") for project in supernet.projects)


def test_a_pipe_receives_only_paths(start: Start, tmp_path: Path) -> None:
    stdout, stderr = start("image", "a lighthouse", "--name", "one").communicate(timeout=30)
    assert (stdout, without_cost(stderr)) == ("one.png\n", "")
    assert (tmp_path / "one.png").exists()


def test_an_interruption_cancels_the_project(start: Start, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    process = start("image", "a lighthouse", "-o", "out")
    supernet.wait_for(lambda: running(supernet))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    (project,) = supernet.projects
    assert (process.returncode, stdout) == (130, "")
    assert stderr == f"sogni: interrupted; project {project['id']} was canceled\n"
    assert project["status"] == "canceled"


def test_an_interruption_cancels_no_project_with_a_key(start: Start, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    command = ("image", "a lighthouse", "--name", "one", "--idempotency-key", "tonight")
    process = start(*command)
    supernet.wait_for(lambda: running(supernet))
    process.send_signal(signal.SIGINT)
    (project,) = supernet.projects
    message = f"interrupted; project {project['id']} continues: run the same command again to collect it"
    assert process.communicate(timeout=30) == ("", f"sogni: {message}{saved_later(supernet)}")
    supernet.resume_workers()
    stdout, stderr = start(*command).communicate(timeout=30)
    assert (stdout, without_cost(stderr)) == ("one.png\n", "")
    assert len(supernet.projects) == 1


def test_an_interruption_before_sending_cancels_nothing(start: Start, supernet: LocalSupernet) -> None:
    refusal = supernet.faults.refuse_upgrade(hang=True, times=5)
    process = start("image", "a lighthouse")
    supernet.wait_for(lambda: refusal.fired)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "sogni: interrupted\n")
    assert process.returncode == 130
    assert supernet.projects == []


@pytest.mark.parametrize(
    ("command", "option"),
    [("image", "PROMPT"), ("image", "--style-prompt"), ("video", "--negative-prompt"), ("music", "--lyrics")],
)
def test_options_that_are_not_utf8_are_rejected(start: Start, command: str, option: str) -> None:
    no_text = os.fsdecode(b"caf\xe9")
    process = start(command, *([no_text] if option == "PROMPT" else ["a lighthouse", option, no_text]))
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr.count("\n")) == (2, "", 1)
    assert option in stderr


def test_sigterm_ends_a_command_cleanly(start: Start, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    process = start("image", "a lighthouse")
    supernet.wait_for(lambda: running(supernet))
    process.terminate()
    message = f"sogni: terminated; project {supernet.projects[0]['id']} continues{saved_later(supernet)}"
    assert process.communicate(timeout=30) == ("", message)
    assert process.returncode == 143


def test_a_connection_that_is_lost_for_good_leaves_a_project_behind(start: Start, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    process = start("image", "a lighthouse")
    supernet.wait_for(lambda: running(supernet))
    supernet.drop_connections(4010, "no more")
    _, stderr = process.communicate(timeout=30)
    left = f"(project {supernet.projects[0]['id']} continues{saved_later(supernet).rstrip()})\n"
    assert (process.returncode, stderr.endswith(left)) == (1, True)


def test_a_closed_pipe_is_not_a_failure(start: Start) -> None:
    process = start("models", "--all")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=30) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error(start: Start) -> None:
    with open("/dev/full", "w") as full:
        process = start("account", stdout=full)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (1, "sogni: standard output: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_not_an_error(reach: dict[str, str], tmp_path: Path, closed: str) -> None:
    command = f'exec "$0" -W error -m sogni image "a lighthouse" --name one {closed}'
    environment = {**os.environ, **reach, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=tmp_path, env=environment, capture_output=True, timeout=30
    )
    assert (process.returncode, without_cost(process.stderr.decode())) == (0, "")
    assert (tmp_path / "one.png").exists()


def test_paths_are_printed_as_their_bytes(start: Start, tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path) + b"/caf\xe9"
    environment = {"PYTHONIOENCODING": "ascii"}
    process = start(
        "image", "a lighthouse", "--name", "ü", "-o", os.fsdecode(directory), text=False, env_extra=environment
    )
    stdout, stderr = process.communicate(timeout=30)
    assert (stdout, without_cost(stderr.decode())) == (directory + "/ü.png\n".encode(), "")


def test_the_emulator_serves_until_it_is_interrupted(start: Start, tmp_path: Path) -> None:
    process = start("emulator", "--clock", "100", "--step-time", "0.1", "--spark", "3.5")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    found = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
    with SogniClient(
        api_key=found["SOGNI_API_KEY"],
        rest_endpoint=found["SOGNI_REST_ENDPOINT"],
        socket_endpoint=found["SOGNI_SOCKET_ENDPOINT"],
    ) as client:
        assert str(client.account.account_balance().spark.net) == "3.5"
        project = client.projects.create(type="image", model_id="flux1-schnell-fp8", positive_prompt="a lighthouse")
        assert len(project.wait(timeout=20).save(tmp_path)) == 1
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_the_emulator_in_json_on_given_ports(start: Start, supernet: LocalSupernet) -> None:
    process = start("emulator", "--json", "--control", "--inspector")
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        text += process.stdout.readline()
    found = json.loads(text)
    headers = {"Authorization": f"Bearer {found['controlToken']}"}
    with urlopen(Request(f"{found['controlEndpoint']}/state", headers=headers), timeout=30) as state:
        assert json.load(state)["rest_endpoint"] == found["restEndpoint"]
    with urlopen(found["inspectorUrl"], timeout=30) as page:
        assert "<h1>Local Supernet</h1>" in page.read().decode()
    port = found["restEndpoint"].rpartition(":")[2]
    taken = start("emulator", "--rest-port", port)
    _, stderr = taken.communicate(timeout=30)
    assert (taken.returncode, stderr.count("\n")) == (1, 1)
    assert "in use" in stderr
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 143


def test_the_progress_bar_is_erased_at_the_end(start: Start, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    ours, theirs = pty.openpty()
    process = start("image", "a lighthouse", "-n", "2", "--name", "it-{index}", stderr=theirs, env_extra=TERMINAL)
    os.close(theirs)
    seen = b""
    while b"waiting: " not in seen:
        assert select.select([ours], [], [], 20)[0], seen
        seen += os.read(ours, 65536)
    supernet.resume_workers()
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # how Linux says that the other side has closed
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=30) == 0
    assert process.stdout is not None
    assert process.stdout.read() == "it-0.png\nit-1.png\n"
    # The last thing drawn is nothing: the cursor shows again on lines that were erased.
    assert seen.rpartition(b"sogni: cost ")[0].endswith(b"\x1b[2K")


TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "90", "LINES": "20"}
