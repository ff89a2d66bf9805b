"""`sogni workflow`, `sogni template`, `sogni replay`: what is sent, what is printed, how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.forkserver import ROOT, Process

Run = Callable[..., Result]
Start = Callable[..., Process]

PLAN: dict[str, Any] = {
    "title": "Two boats",
    "steps": [
        {
            "id": "boat",
            "toolName": "generate_image",
            "arguments": {"prompt": "a boat", "width": 256, "height": 256, "model": "flux1-schnell-fp8"},
        },
        {
            "id": "red",
            "toolName": "remove_background",
            "arguments": {},
            "dependsOn": [{"sourceStepId": "boat", "targetArgument": "sourceImageIndex", "transform": "image_index"}],
        },
    ],
}
BAD: dict[str, Any] = {"steps": [{"id": "boat", "toolName": "generate_image", "arguments": {"prompt": 5}}]}
TEMPLATE = {
    "name": "Boats",
    "version": "1.0.0",
    "description": "A boat of any colour",
    "inputs": [{"name": "colour", "type": "text", "required": True}],
    "stages": [
        {
            "id": "boat",
            "toolName": "generate_image",
            "arguments": {"prompt": "$inputs.colour", "width": 256, "height": 256},
        }
    ],
}


@pytest.fixture
def plan(tmp_path: Path) -> str:
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    return "plan.json"


def started(supernet: LocalSupernet) -> list[Any]:
    """The bodies of the requests to start a workflow."""
    paths = ("/v1/creative-agent/workflows",)
    return [it.body for it in supernet.requests if getattr(it, "path", "") in paths and it.method == "POST"]


def rows(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.stderr
    return [line.split("\t") for line in result.stdout.splitlines()]


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def begun(sogni: Run, plan: str) -> str:
    """The id of a workflow that has ended."""
    return rows(sogni("workflow", "start", plan, "--watch"))[0][2]


def test_start_prints_the_id(sogni: Run, supernet: LocalSupernet, plan: str) -> None:
    ((workflow_id, status, title),) = rows(sogni("workflow", "start", plan))
    assert (workflow_id[:3], title) == ("wf_", "Two boats")
    assert status in ("queued", "running")
    assert [body["input"] for body in started(supernet)] == [PLAN]


def test_watching_in_a_pipe_tells_every_change_on_a_line_then_what_was_made(sogni: Run, plan: str) -> None:
    lines = rows(sogni("workflow", "start", plan, "--watch"))
    assert {len(line) for line in lines} == {3}
    told = [(name, status) for name, status, _ in lines]
    assert told.index(("boat", "completed")) < told.index(("red", "completed")) < told.index(("workflow", "completed"))
    assert [line[:2] for line in lines[-2:]] == [["artifact", "image"], ["artifact", "image"]]
    assert all(line[2].startswith("http") for line in lines[-2:])


def test_what_it_made_is_saved(sogni: Run, tmp_path: Path, plan: str) -> None:
    result = sogni("workflow", "start", plan, "--watch", "--output-dir", "out")
    paths = result.stdout.splitlines()[-2:]
    assert [size(tmp_path / path) for path in paths] == [(256, 256)] * 2
    again = sogni("workflow", "save", result.stdout.split("\t")[2].split("\n")[0], "-o", "again", "--json")
    files = json.loads(again.stdout)["files"]
    assert [(tmp_path / it).read_bytes() for it in files] == [(tmp_path / it).read_bytes() for it in paths]


def test_what_cannot_be_written_is_told_with_where_and_how_to_get_it(start: Start, plan: str, tmp_path: Path) -> None:
    limits = {resource.RLIMIT_FSIZE: 2000}
    process = start("workflow", "start", plan, "--watch", "-o", "out", limits=limits)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert re.search(r"sogni: out: File too large \(save again with 'sogni workflow save wf_[-\w]+'\)\n", stderr)
    image = start("image", "a fox", "--model", "flux1-schnell-fp8", "-o", "out", limits=limits)
    _, stderr = image.communicate(timeout=30)
    assert re.search(
        r"sogni: out: File too large \(project ([-\w]+) has finished, but its results were not saved; "
        r"'sogni project save \1' fetches its results\)\n",
        stderr,
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_watching_without_standard_output_is_no_error(reach: dict[str, str], plan: str, tmp_path: Path) -> None:
    command = f'exec "$0" -m sogni workflow start {plan} --watch -o out >&-'
    environment = {**os.environ, **reach, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=tmp_path, env=environment, capture_output=True, timeout=30
    )
    assert (process.returncode, process.stderr) == (0, b"")


def test_json_is_one_document(sogni: Run, plan: str) -> None:
    record = json.loads(sogni("workflow", "start", plan, "--watch", "--json", "-o", "out").stdout)
    assert (record["status"], len(record["files"])) == ("completed", 2)
    same = json.loads(sogni("workflow", "get", record["workflowId"], "--json").stdout)
    assert (same["status"], same["title"]) == ("completed", "Two boats")


def test_get_and_list(sogni: Run, plan: str) -> None:
    workflow_id = begun(sogni, plan)
    lines = rows(sogni("workflow", "get", workflow_id))
    assert [line[:2] for line in lines] == [
        ["workflow", "completed"],
        ["boat", "completed"],
        ["red", "completed"],
        ["artifact", "image"],
        ["artifact", "image"],
    ]
    ((listed, status, created, title),) = rows(sogni("workflow", "list", "--limit", "1"))
    assert (listed, status, title) == (workflow_id, "completed", "Two boats")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", created)
    assert json.loads(sogni("workflow", "list", "--offset", "5", "--json").stdout) == []


def test_watch_of_one_that_has_ended(sogni: Run, plan: str) -> None:
    workflow_id = begun(sogni, plan)
    assert rows(sogni("workflow", "watch", workflow_id))[0] == ["workflow", "completed", workflow_id]


def test_watching_one_that_runs_tells_nothing_twice_and_nothing_backwards(
    sogni: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = PLAN["steps"][0]["arguments"]
    need = {"sourceStepId": "first", "targetArgument": "sourceImageIndex", "transform": "image_index"}
    first = {"id": "first", "toolName": "generate_image", "arguments": image}
    second = {"id": "second", "toolName": "edit_image", "arguments": {"prompt": "at night"}, "dependsOn": [need]}
    (tmp_path / "two.json").write_text(json.dumps({"steps": [first, second]}))
    with LocalSupernet(step_time=0.2) as supernet, supernet.client() as client:
        monkeypatch.setenv("SOGNI_API_KEY", supernet.api_key)
        monkeypatch.setenv("SOGNI_REST_ENDPOINT", supernet.rest_endpoint)
        workflow_id = rows(sogni("workflow", "start", "two.json"))[0][0]
        frames = client.workflows.stream_events(workflow_id)
        assert any((it.data or {}).get("step", {}).get("status") == "completed" for it in frames)
        frames.close()
        lines = [line[:2] for line in rows(sogni("workflow", "watch", workflow_id))]
    assert [status for name, status in lines if name == "first"] == ["completed"]
    assert [name for name, status in lines if status == "completed"] == ["first", "second", "workflow"]


@pytest.fixture
def slow() -> Iterator[LocalSupernet]:
    """A Supernet whose workflows do not end by themselves."""
    with LocalSupernet(step_time=60) as supernet:
        yield supernet


@pytest.fixture
def endless(sogni: Run, plan: str, slow: LocalSupernet, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a workflow that does not end by itself."""
    monkeypatch.setenv("SOGNI_API_KEY", slow.api_key)
    monkeypatch.setenv("SOGNI_REST_ENDPOINT", slow.rest_endpoint)
    return rows(sogni("workflow", "start", plan))[0][0]


def test_one_that_was_cancelled_is_a_failure_for_whoever_watches(sogni: Run, endless: str) -> None:
    assert rows(sogni("workflow", "cancel", endless))[0][:2] == [endless, "cancelled"]
    watched = sogni("workflow", "watch", endless)
    assert (watched.exit_code, watched.stderr) == (1, f"sogni: workflow {endless} ended with status cancelled\n")


def test_running_out_of_time_leaves_the_workflow_alone(sogni: Run, endless: str) -> None:
    watched = sogni("workflow", "watch", endless, "--timeout", "0.5")
    assert (watched.exit_code, watched.stderr) == (
        124,
        f"sogni: workflow {endless} did not end within 0.5 seconds and continues\n",
    )
    assert rows(sogni("workflow", "get", endless))[0][1] == "running"


def test_interrupted_the_workflow_goes_on(start: Start, slow: LocalSupernet, plan: str) -> None:
    reach = {"SOGNI_API_KEY": slow.api_key, "SOGNI_REST_ENDPOINT": slow.rest_endpoint}
    process = start("workflow", "start", plan, "--watch", env_extra=reach)
    assert process.stdout is not None
    workflow_id = process.stdout.readline().split()[2]
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, f"sogni: interrupted; workflow {workflow_id} continues\n")
    with slow.client() as client:
        assert not client.workflows.get(workflow_id).ended


def test_interrupted_while_it_is_being_started_it_is_told_what_became_of_it(
    start: Start, slow: LocalSupernet, plan: str
) -> None:
    delay = slow.faults.http("/v1/creative-agent/workflows", method="POST", delay=0.4)
    process = start(
        "workflow",
        "start",
        plan,
        env_extra={"SOGNI_API_KEY": slow.api_key, "SOGNI_REST_ENDPOINT": slow.rest_endpoint},
    )
    slow.wait_for(lambda: delay.fired)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    with slow.client() as client:
        (record,) = client.workflows.list()
    assert stderr == f"sogni: interrupted; workflow {record.workflow_id} continues\n"


def test_on_a_terminal_the_steps_are_drawn_and_what_was_drawn_vanishes(start: Start, plan: str) -> None:
    ours, theirs = pty.openpty()
    terminal = {"TERM": "xterm-256color", "COLUMNS": "90", "LINES": "20"}
    process = start("workflow", "start", plan, "--watch", "-o", "out", stderr=theirs, env_extra=terminal)
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # how Linux says that the other side has closed
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=30) == 0
    assert process.stdout is not None
    lines = [line.split("\t") for line in process.stdout.read().splitlines()]
    assert lines[-1][0].startswith("out/wf_")
    assert ["workflow", "completed"] in [line[:2] for line in lines]
    assert b"Two boats" in seen
    assert seen.rstrip().endswith(b"\x1b[2K")


def test_a_cost_is_approved_by_resuming(sogni: Run, plan: str) -> None:
    waiting = sogni("workflow", "start", plan, "--ask-cost", "--watch")
    workflow_id = waiting.stdout.split("\n")[0].split("\t")[2]
    assert waiting.exit_code == 1
    assert "is waiting for user input: cost_approval_required; see 'sogni workflow resume " in waiting.stderr
    found = json.loads(sogni("workflow", "list", "--limit", "1", "--json").stdout)[0]
    assert found["status"] == "waiting_for_user"
    assert rows(sogni("workflow", "resume", found["workflowId"], "--watch"))[-1][0] == "artifact"
    assert workflow_id


def test_reseed_makes_another_take_with_the_seeds_given(sogni: Run, plan: str) -> None:
    workflow_id = begun(sogni, plan)
    record = json.loads(sogni("workflow", "reseed", workflow_id, "--seed", "boat=7", "--watch", "--json").stdout)
    assert record["workflowId"] != workflow_id
    assert (record["status"], record["steps"][0]["seed"]) == ("completed", 7)


def test_media_are_uploaded_and_addresses_travel_as_they_are(
    sogni: Run, supernet: LocalSupernet, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), "navy").save(tmp_path / "in.png")
    need = {"sourceStepId": "$input_media", "targetArgument": "sourceImageIndex", "transform": "image_index"}
    given = {"steps": [{"id": "cut", "toolName": "remove_background", "arguments": {}, "dependsOn": [need]}]}
    (tmp_path / "plan.json").write_text(json.dumps(given))
    record = json.loads(sogni("workflow", "start", "plan.json", "--media", "in.png", "--watch", "--json").stdout)
    assert record["status"] == "completed"
    (reference,) = started(supernet)[0]["media_references"]
    assert reference["url"].startswith("http")
    refused = sogni("workflow", "start", "plan.json")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "plan.json:1: step 'cut': depends_on[0].source_step_id is $input_media" in refused.stderr


# --- what is refused before anything is sent


def test_every_mistake_is_a_line_with_step_field_and_rule(sogni: Run, supernet: LocalSupernet, tmp_path: Path) -> None:
    looped = [
        {"id": "a", "tool_name": "edit_image", "arguments": {}, "depends_on": [_need("b"), _need("gone")]},
        {"id": "b", "tool_name": "edit_image", "arguments": {}, "depends_on": [_need("a")]},
    ]
    (tmp_path / "plan.yaml").write_text(json.dumps({"steps": looped}))
    result = sogni("workflow", "start", "plan.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "sogni: plan.yaml:1: step 'a': depends_on[1].source_step_id "
        "must be the id of an earlier step or $input_media, got 'gone' (unknown-step)",
        "sogni: plan.yaml:1: step 'a': depends_on must not contain a cycle: 'a' needs 'b' needs 'a' (cycle)",
    ]
    assert supernet.requests == []


def _need(source: str) -> dict[str, str]:
    return {"source_step_id": source, "target_argument": "sourceImageIndex", "transform": "image_index"}


def test_strict_refuses_what_check_finds(sogni: Run, supernet: LocalSupernet, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(json.dumps(BAD))
    strict = sogni("workflow", "start", "bad.json", "--strict")
    assert (strict.exit_code, strict.stderr) == (
        2,
        "sogni: bad.json:1: step 'boat': arguments.prompt must be a string, got 5 (argument)\n",
    )
    wrong = {**BAD["steps"][0], "depends_on": [_need("gone")]}
    (tmp_path / "worse.json").write_text(json.dumps({"steps": [wrong]}))
    rules = [row.split("\t")[1] for row in sogni("workflow", "check", "worse.json").stdout.splitlines()]
    assert rules == ["unknown-step", "argument"]
    checked = sogni("workflow", "check", "bad.json")
    assert checked.exit_code == 2
    assert checked.stdout == "error\targument\tbad.json:1: step 'boat': arguments.prompt must be a string, got 5\n"
    assert json.loads(sogni("workflow", "check", "bad.json", "--json").stdout)[0]["rule"] == "argument"
    assert supernet.requests == []


def test_a_plan_that_is_right_has_nothing_to_say(sogni: Run, plan: str) -> None:
    assert rows(sogni("workflow", "check", plan)) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("start", "plan.json", "--input", "a=1"), "--input requires a template"),
        (("start", "gone.yaml"), "PLAN: file 'gone.yaml' does not exist"),
        (("check", "gone.yaml"), "'gone.yaml' does not exist"),
        (("start", "wf_x", "--input", "a"), "--input must be NAME=VALUE, got 'a'"),
        (("start", "wf_x", "--input", "a=1", "--input", "a=2"), "--input: 'a' was given twice"),
        (("start", "plan.json", "--media", "gone.png"), "--media: file 'gone.png' does not exist"),
        (("start", "plan.json", "-o", "out"), "--output-dir requires --watch"),
        (("reseed", "wf_x", "--seed", "a=x"), "--seed must be an integer, got 'x'"),
        (("start", "plan.json", "--watch", "--timeout", "-1"), "timeout"),
    ],
)
def test_wrong_usage(sogni: Run, supernet: LocalSupernet, plan: str, arguments: tuple[str, ...], words: str) -> None:
    result = sogni("workflow", *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr
    assert started(supernet) == []


def test_a_workflow_that_is_not_there(sogni: Run) -> None:
    result = sogni("workflow", "watch", "wf_gone")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("sogni: HTTP 404: ")


# --- templates


def test_templates(sogni: Run, supernet: LocalSupernet, tmp_path: Path) -> None:
    (tmp_path / "template.json").write_text(json.dumps(TEMPLATE))
    ((template_id, visibility, _, name),) = rows(sogni("template", "create", "template.json"))
    assert (visibility, name) == ("private", "Boats")
    assert [template_id, name] in [
        [line[0], line[3]] for line in rows(sogni("template", "list", "--visibility", "own"))
    ]
    shown = rows(sogni("template", "get", template_id))
    assert ["--input colour=", "text (required)"] in shown
    (tmp_path / "changes.json").write_text('{"name": "Ships"}')
    assert rows(sogni("template", "update", template_id, "changes.json"))[0][3] == "Ships"
    ((copied, _, _, forked),) = rows(sogni("template", "fork", template_id, "--name", "Copies"))
    assert forked == "Copies"
    watched = rows(sogni("workflow", "start", template_id, "--input", "colour=red", "--watch"))
    assert ["boat", "completed"] in [line[:2] for line in watched]
    assert started(supernet)[0]["inputs"] == {"colour": "red"}
    assert rows(sogni("template", "delete", copied)) == []
    gone = sogni("template", "get", copied)
    assert (gone.exit_code, gone.stderr.startswith("sogni: HTTP 404")) == (1, True)
    assert json.loads(sogni("template", "delete", template_id, "--json").stdout) == {"id": template_id, "deleted": True}


def test_inputs_are_json_where_they_can_be(sogni: Run, supernet: LocalSupernet) -> None:
    sogni("workflow", "start", "tpl", "--input", "n=3", "--input", "t=a=b", "--input", 'l=["x"]', "--input", "e=")
    assert started(supernet)[0]["inputs"] == {"n": 3, "t": "a=b", "l": ["x"], "e": ""}


def test_a_file_that_holds_no_template(sogni: Run, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    assert sogni("template", "create", "list.json").stderr.startswith("sogni: list.json does not contain a template")
    missing = sogni("template", "create", "none.json")
    assert (missing.exit_code, "'none.json' does not exist" in missing.stderr) == (2, True)


# --- replay


def test_replay(sogni: Run, supernet: LocalSupernet) -> None:
    with supernet.client() as client, client.replay.record(session_id="s1", run_id="run_1"):
        client.chat.completions.create(messages=[{"role": "user", "content": "Say hello"}])
    ((run_id, written, model, rounds, request),) = rows(sogni("replay", "list", "--limit", "5"))
    assert (run_id, rounds, request) == ("run_1", "1", "Say hello")
    assert model
    assert written
    shown = {line[0]: line[1] for line in rows(sogni("replay", "get", "run_1"))}
    assert (shown["session"], shown["request"]) == ("s1", "Say hello")
    assert shown["round 0"] == shown["response"] != ""
    document = json.loads(sogni("replay", "get", "run_1", "--json").stdout)
    assert document["record"]["rounds"][0]["messages"] == [{"role": "user", "content": "Say hello"}]
    assert json.loads(sogni("replay", "list", "--json").stdout)[0]["runId"] == "run_1"


def test_a_record_that_is_not_there(sogni: Run) -> None:
    assert sogni("replay", "get", "run_gone").exit_code == 1
