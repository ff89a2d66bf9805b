"""An emulator with a data directory: restarts, also after it was killed during a workflow."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sogni.emulator import Balance, LocalSupernet
from tests.emulator.chat import test_chat_runs as runs
from tests.emulator.media.helpers import opened
from tests.emulator.process import EmulatorProcess, lasting_port
from tests.emulator.wire import Wire, job_request, new_id
from tests.emulator.workflows.helpers import FILM, ROOT, ended, frames, get, plan, run, start, step, still, takes
from tests.forkserver import Process

pytestmark = pytest.mark.integration


def wire_of(emulator: EmulatorProcess) -> Wire:
    values = {name: getattr(emulator, name) for name in ("rest_endpoint", "socket_endpoint", "api_key")}
    stand_in: Any = SimpleNamespace(**values)
    return Wire(stand_in)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_key_and_balance_are_the_same_after_a_restart(directory: Path) -> None:
    with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
        key = supernet.api_key
        project = wire.connect().create(job_request())
        wire.finish(project)
        supernet.wait_for(lambda: supernet.account.balance.spark < 10_000)
        left = supernet.account.balance
    with LocalSupernet(step_time=0, data=directory, balance={"spark": 5}) as supernet:
        assert (supernet.api_key, supernet.account.balance) == (key, left)
    with LocalSupernet(step_time=0, data=directory, api_key="a-new-key") as supernet:
        assert supernet.api_key == "a-new-key"


def test_free_credits_are_the_same_after_a_restart(directory: Path) -> None:
    with LocalSupernet(step_time=0, data=directory) as supernet:
        supernet.account.set_balance(spark=1, sogni=2, free_spark=300)
    with LocalSupernet(step_time=0, data=directory) as supernet:
        assert supernet.account.balance == Balance(spark=1, sogni=2, free_spark=300)


def test_records_templates_and_files_survive_a_restart(directory: Path) -> None:
    with LocalSupernet(step_time=0, seed=1, data=directory) as supernet, Wire(supernet) as wire:
        before = run(wire, still(), token_type="sogni")
        key = {"Idempotency_Key": "once"}
        keyed = start(wire, plan(still()), **key)["workflowId"]
        ended(wire, keyed)
        template = wire.ask("POST", f"{ROOT}/templates", {"name": "Mine", "stages": []}).json()["data"]["template"]
        wire.ask("POST", "/v1/replay/records", {"run_id": "r1", "rounds": []})
        image = wire.http.get(before["artifacts"][0]["url"], timeout=30).content
        job = new_id()
        wire.upload(job, "startingImage", image)
    with LocalSupernet(step_time=0, seed=1, data=directory) as supernet, Wire(supernet) as wire:
        after = get(wire, before["workflowId"])
        assert {**after, "artifacts": 0, "steps": 0, "events": 0} == {**before, "artifacts": 0, "steps": 0, "events": 0}
        assert wire.http.get(after["artifacts"][0]["url"], timeout=30).content == image
        assert [event["id"] for event in after["events"]] == [event["id"] for event in before["events"]]
        again = wire.ask("POST", ROOT, plan(still()), Idempotency_Key="once").json()["data"]
        assert (again["workflow"]["workflowId"], again["idempotent"]) == (keyed, True)
        assert wire.data(f"{ROOT}/templates/{template['id']}")["template"] == template
        assert wire.get("/v1/replay/records/r1").json()["record"] == {"run_id": "r1", "rounds": []}
        url = wire.data("/v1/image/downloadUrl", imageId=new_id(), jobId=job, type="startingImage")["downloadUrl"]
        assert wire.http.get(url, timeout=30).content == image
        assert run(wire, still())["workflowId"] not in (before["workflowId"], keyed)


def test_files_of_others_in_the_directory_are_kept(directory: Path) -> None:
    files = directory / "files"
    (files / "mine").mkdir(parents=True)
    for name in ("notes.txt", "7", "00000042"):
        (files / name).write_text("content")
    with LocalSupernet(step_time=0, data=directory):
        assert sorted(path.name for path in files.iterdir()) == ["7", "mine", "notes.txt"]


def test_an_interrupted_step_is_paid_once(directory: Path) -> None:
    turn = takes("still", "sourceImageIndex", "image_index")
    orbit = step("orbit", "orbit_video", turn, angles=["back view"])
    with LocalSupernet(step_time=0, workers=1, data=directory) as supernet, Wire(supernet) as wire:
        before = supernet.account.balance.spark
        supernet.pause_workers()
        record = start(wire, plan(still(), orbit))
        supernet._now.server.pace.step_time = 0.05
        supernet.resume_workers()
        # The image and the other view of the orbit, but not its transitions yet.
        supernet.wait_for(lambda: [entry["status"] for entry in supernet.projects][:2] == ["completed"] * 2)
    with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
        ended(wire, record["workflowId"])
        spent = before - supernet.account.balance.spark
    assert float(spent) == pytest.approx(record["billingPreview"]["estimatedCost"])


def test_a_chat_run_continues_after_a_restart(directory: Path) -> None:
    with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
        done = runs.ended(wire, runs.start(wire, "What is 17 * 23?"))
        supernet.pause_workers()
        name = runs.start(wire, "Create an image of a red kite", key="once")
        supernet.wait_for(lambda: supernet.projects)
        supernet.close()
    with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
        assert runs.get(wire, done["runId"]) == done
        record = runs.ended(wire, name)
        assert runs.create(wire, "Create an image of a red kite", key="once")["idempotent"] is True
        assert wire.http.get(record["artifacts"][0]["url"], timeout=30).status_code == 200
    told = [event["type"] for event in record["events"]]
    assert record["status"] == "completed", record
    assert [event["sequence"] for event in record["events"]] == list(range(1, len(told) + 1))
    assert (told.count("started"), told.count("tool_call_completed"), told[-1]) == (1, 1, "run_completed")


def test_a_chat_run_that_waits_asks_again(directory: Path) -> None:
    config = {"requireJobConfirmation": True}
    with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
        name = runs.start(wire, "Create an image of a red kite", runtime_config=config)
        runs.waiting(wire, name)
    with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
        details = runs.waiting(wire, name)["waiting"]["details"]
        body = {"tool_call_id": details["toolCallId"], "decision": "confirm"}
        preview = details["costApprovalPreview"]
        path = f"{runs.RUNS}/{name}/confirm-cost"
        assert wire.ask("POST", path, {**body, "acceptedCostPreview": preview}).status_code == 200
        assert runs.ended(wire, name)["status"] == "completed"


def test_signed_urls_stay_valid_on_the_same_port(directory: Path) -> None:
    port = lasting_port()
    with LocalSupernet(step_time=0, data=directory, rest_port=port) as supernet, Wire(supernet) as wire:
        url = run(wire, still())["artifacts"][0]["url"]
    with LocalSupernet(step_time=0, data=directory, rest_port=port) as supernet, Wire(supernet) as wire:
        assert wire.http.get(url, timeout=30).status_code == 200
        supernet.expire_urls()
        assert wire.http.get(url, timeout=30).status_code == 403


def test_a_reset_removes_saved_data(directory: Path) -> None:
    with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
        run(wire, still())
        supernet.reset()
        assert wire.data(ROOT)["workflows"] == []
    with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
        assert wire.data(ROOT)["workflows"] == []


def test_two_emulators_do_not_share_a_directory(directory: Path) -> None:
    with LocalSupernet(data=directory), pytest.raises(RuntimeError, match="another emulator"):
        LocalSupernet(data=directory)


def test_without_a_directory_nothing_is_saved(tmp_path: Path) -> None:
    with LocalSupernet(step_time=0) as supernet, Wire(supernet) as wire:
        run(wire, still())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="needs a kill that nobody can catch")
def test_a_workflow_continues_after_the_emulator_is_killed(
    directory: Path, start_process: Callable[..., Process]
) -> None:
    first = EmulatorProcess(start_process, directory, 0.05)
    with wire_of(first) as wire:
        name = start(wire, plan(*FILM))["workflowId"]
        deadline = time.monotonic() + 30
        while not any(step["status"] == "completed" for step in get(wire, name)["steps"]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.kill()
        seen: list[int] = []
    second = EmulatorProcess(start_process, directory, 0, first.port)
    try:
        assert (second.api_key, second.port) == (first.api_key, first.port)
        with wire_of(second) as wire:
            record = ended(wire, name)
            told = frames(wire, name)
            seen = [frame["id"] for frame in told]
            begun = [frame["data"]["step"]["id"] for frame in told if frame["event"] == "step_started"]
            done = [frame["data"]["step"]["id"] for frame in told if frame["event"] == "step_completed"]
            film = opened(wire.http.get(record["artifacts"][-1]["url"], timeout=30).content)
    finally:
        second.kill()
    assert record["status"] == "completed"
    assert seen == list(range(1, len(seen) + 1))
    assert sorted(done) == sorted(step["id"] for step in FILM)
    assert begun.count("still") <= 2
    assert film.samples is not None
