"""Durable work that is resumed, canceled, stopped or removed while it runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from sogni.emulator import LocalSupernet
from sogni.emulator.account.accounts import Balance, Token, make_account
from sogni.emulator.tools.runner import TOOLS, Payments, Tool
from tests.emulator.chat import test_chat_runs as runs
from tests.emulator.chat.test_hosted_chat import hosted
from tests.emulator.wire import Wire
from tests.emulator.workflows.helpers import ROOT, ended, frames, get, plan, run, start, step, still, takes

pytestmark = pytest.mark.integration


DRAW = "Create an image of a red kite, width=256 height=256"


def several(wire: Wire, path: str, count: int = 6) -> list[Any]:
    """Send the same request concurrently, on several connections."""

    def one(_: int) -> Any:
        with Wire(wire.supernet) as other:
            return other.ask("POST", path, {})

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_a_resumed_workflow_is_running_in_the_answer(wire: Wire) -> None:
    record = run(wire, still(), confirm_cost=False)
    data = wire.ask("POST", f"{ROOT}/{record['workflowId']}/resume", {}).json()["data"]
    assert (data["resumed"], data["workflow"]["status"]) == (True, "running")
    assert "waitingReason" not in data["workflow"]


def test_a_workflow_is_resumed_once_however_many_ask(wire: Wire, supernet: LocalSupernet) -> None:
    record = run(wire, still(), confirm_cost=False)
    supernet.pause_workers()
    replies = several(wire, f"{ROOT}/{record['workflowId']}/resume")
    assert sorted(reply.json()["data"]["resumed"] for reply in replies) == [False] * 5 + [True]
    supernet.resume_workers()
    assert ended(wire, record["workflowId"])["status"] == "completed"
    assert len(supernet.projects) == 1


def test_a_workflow_is_cancelled_once_however_many_ask(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    name = start(wire, plan(still(), still("other")))["workflowId"]
    supernet.wait_for(lambda: len(supernet.projects) == 2)
    replies = several(wire, f"{ROOT}/{name}/cancel")
    assert [reply.status_code for reply in replies] == [200] * 6
    assert {reply.json()["data"]["workflow"]["status"] for reply in replies} == {"cancelled"}
    told = [frame["data"].get("status") for frame in frames(wire, name)]
    assert told.count("cancelled") == 1


def test_resuming_keeps_to_the_limit_of_active_workflows() -> None:
    with LocalSupernet(step_time=0, workflow_limit=1) as supernet, Wire(supernet) as wire:
        first, second = (run(wire, still(), confirm_cost=False)["workflowId"] for _ in range(2))
        supernet.pause_workers()
        assert wire.ask("POST", f"{ROOT}/{first}/resume", {}).json()["data"]["resumed"] is True
        reply = wire.ask("POST", f"{ROOT}/{second}/resume", {})
        assert (reply.status_code, reply.json()["details"]["activeWorkflowLimit"]) == (409, 1)
        assert get(wire, second)["status"] == "waiting_for_user"
        supernet.resume_workers()
        ended(wire, first)
        assert wire.ask("POST", f"{ROOT}/{second}/resume", {}).json()["data"]["resumed"] is True


def test_a_step_without_funds_is_refunded(wire: Wire, supernet: LocalSupernet) -> None:
    turn = takes("still", "sourceImageIndex", "image_index")
    supernet.pause_workers()
    record = start(wire, plan(still(), step("orbit", "orbit_video", turn, angles=["back view"])))
    supernet.wait_for(lambda: supernet.projects)
    # Enough for the other view, but not for the transitions.
    supernet.account.set_balance(spark=1)
    supernet.resume_workers()
    assert ended(wire, record["workflowId"])["waitingReason"] == "insufficient_credit"
    assert get(wire, record["workflowId"])["costActual"] == supernet.projects[0]["costActual"]["costInToken"]
    assert supernet.account.balance.spark == 1
    supernet.account.set_balance(spark=100)
    wire.ask("POST", f"{ROOT}/{record['workflowId']}/resume", {})
    again = ended(wire, record["workflowId"])
    assert again["status"] == "completed"
    assert float(again["costActual"]) == pytest.approx(record["billingPreview"]["estimatedCost"])


def test_a_step_is_refunded_in_its_own_token() -> None:
    account, payments = make_account(spark=10, sogni=10), Payments()
    paid: tuple[tuple[Token, int], ...] = (("spark", 3), ("sogni", 2), ("spark", 1))
    for token, amount in paid:
        account.funds.reserve(token, Decimal(amount))
        account.funds.settle(token, Decimal(amount), Decimal(amount))
        payments.add(token, Decimal(amount))
    assert payments.total == Decimal(6)
    payments.give_back(account, "Refund")
    assert account.balance == Balance(10, 10)
    assert payments.total == Decimal(0)


def test_another_take_is_charged_like_the_first(wire: Wire, supernet: LocalSupernet) -> None:
    first = run(wire, still(), token_type="sogni", app_source="mine")
    before = supernet.account.balance
    reply = wire.ask("POST", f"{ROOT}/{first['workflowId']}/reseed", {})
    ended(wire, reply.json()["data"]["workflow"]["workflowId"])
    assert supernet.account.balance.spark == before.spark
    assert supernet.account.balance.sogni < before.sogni


def test_a_stop_between_two_results_charges_neither_twice(tmp_path: Path) -> None:
    with LocalSupernet(step_time=0, workers=1, data=tmp_path) as supernet, Wire(supernet) as wire:
        before = supernet.account.balance.spark
        supernet.pause_workers()
        record = start(wire, plan(still(numberOfVariations=3)))
        supernet._now.server.pace.step_time = 0.05
        supernet.resume_workers()
        supernet.wait_for(lambda: [job["status"] for job in supernet.projects[0]["completedWorkerJobs"]] != [])
    with LocalSupernet(step_time=0, data=tmp_path) as supernet, Wire(supernet) as wire:
        assert ended(wire, record["workflowId"])["status"] == "completed"
        spent = before - supernet.account.balance.spark
    assert float(spent) == pytest.approx(record["billingPreview"]["estimatedCost"])


def test_work_in_progress_does_not_survive_a_reset(tmp_path: Path) -> None:
    with LocalSupernet(step_time=0, data=tmp_path) as supernet, Wire(supernet) as wire:
        supernet.pause_workers()
        start(wire, plan(still(), still("other")))
        runs.start(wire, DRAW)
        supernet.wait_for(lambda: len(supernet.projects) == 3)
        supernet.reset()
        run(wire, still())
        supernet.reset()
    with LocalSupernet(step_time=0, data=tmp_path) as supernet, Wire(supernet) as wire:
        assert supernet.workflows == []
        assert supernet.projects == []


def test_work_of_a_removed_account_does_not_prevent_a_start(tmp_path: Path) -> None:
    turn = takes("still", "sourceImageIndex", "image_index")
    with LocalSupernet(step_time=0, workers=1, data=tmp_path) as supernet:
        supernet.add_account("somebody", "a password", api_key="another-key")
        with Wire(supernet) as wire:
            wire.headers["api-key"] = "another-key"
            supernet.pause_workers()
            start(wire, plan(still(), step("orbit", "orbit_video", turn, angles=["back view"])))
            supernet._now.server.pace.step_time = 0.05
            supernet.resume_workers()
            supernet.wait_for(lambda: [entry["status"] for entry in supernet.projects][:2] == ["completed"] * 2)
    with LocalSupernet(step_time=0, data=tmp_path) as supernet, Wire(supernet) as wire:
        assert run(wire, still())["status"] == "completed"


@pytest.mark.parametrize("safe", [True, False])
def test_the_content_filter_reaches_the_tools_of_a_chat(wire: Wire, supernet: LocalSupernet, safe: bool) -> None:
    supernet.faults.flag_nsfw()
    body = hosted(wire, DRAW, sogni_tools=True, sogni_tool_execution=True, safe_content_filter=safe)
    assert body["sogni_tool_results"][0]["success"] is not safe
    supernet.faults.flag_nsfw()
    name = runs.start(wire, DRAW, runtime_config={"safeContentFilter": safe})
    assert runs.ended(wire, name)["status"] == ("failed" if safe else "completed")


def test_records_written_again_are_listed_first_after_a_restart_as_well(tmp_path: Path) -> None:
    path = "/v1/replay/records"
    with LocalSupernet(step_time=0, data=tmp_path) as supernet, Wire(supernet) as wire:
        for name in ("one", "two", "one"):
            wire.ask("POST", path, {"run_id": name})
        before = [record["runId"] for record in wire.get(path).json()["records"]]
    with LocalSupernet(step_time=0, data=tmp_path) as supernet, Wire(supernet) as wire:
        assert [record["runId"] for record in wire.get(path).json()["records"]] == before == ["one", "two"]


def test_a_failed_clip_cancels_the_others_of_its_video() -> None:
    with LocalSupernet(step_time=0, workers=1) as supernet, Wire(supernet) as wire:
        supernet.faults.fail_job(index=0, times=2)
        stills = still(numberOfVariations=4)
        animate = step("film", "animate_photo", takes("still", "sourceImageIndices", "image_index"), prompt="it sways")
        film = run(wire, stills, animate)
        assert film["status"] == "partial_failure"
        stills_made, first, *others = (project["status"] for project in supernet.projects)
        assert (stills_made, first, {*others}) == ("completed", "failed", {"canceled"})
        assert film["costActual"] == supernet.projects[0]["costActual"]["costInToken"]


def test_a_tool_that_breaks_fails_its_step_alone(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(work: Any) -> Any:
        raise KeyError("nobody expected this")

    monkeypatch.setitem(cast(Any, TOOLS), "analyze_image", Tool(broken))
    record = run(wire, still(), step("look", "analyze_image", takes("still", "imageIndex", "image_index")))
    assert (record["status"], record["error"]["code"]) == ("partial_failure", "TOOL_FAILED")
    assert [entry["status"] for entry in record["steps"]] == ["completed", "failed"]
    assert "analyze_image" in caplog.text
