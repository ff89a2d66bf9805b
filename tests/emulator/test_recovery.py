"""Projects outlive connections, and a client receives what it missed."""

from __future__ import annotations

import base64
import json

from sogni.emulator import LocalSupernet
from tests.emulator.wire import Wire, job_request, of_type


def greeting(wire: Wire) -> dict[str, object]:
    frames = wire.connect().until(lambda name, _: name == "authenticated")
    return dict(frames[-1][1])


def test_a_project_that_finished_while_the_client_was_away_is_delivered_once(
    wire: Wire, supernet: LocalSupernet
) -> None:
    supernet.faults.drop_socket(at="started")
    request = job_request()
    wire.connect().create(request)
    assert wire.close_code() == 0
    supernet.wait_for(lambda: supernet.projects[0]["finished"])
    unclaimed = greeting(wire)["unclaimedCompletedProjects"]
    assert isinstance(unclaimed, list)
    project = unclaimed[0]
    assert (project["id"], project["status"], project["appId"]) == (
        request["jobID"],
        "completed",
        "wire-test",
    )
    assert json.loads(base64.b64decode(project["clientRequestData"])) == request
    job = project["completedWorkerJobs"][0]
    assert (job["status"], job["performedSteps"]) == ("jobCompleted", 4)
    assert wire.download(project["id"], job["imgID"])
    assert greeting(wire)["unclaimedCompletedProjects"] == []


def test_a_running_project_is_reported_and_continues(supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    with Wire(supernet) as wire:
        project_id = wire.connect().create()
        wire.next("jobState", "queued")
        wire.disconnect()
        supernet.wait_for(lambda: supernet.connection_count == 0)
        active = greeting(wire)["activeProjects"]
        assert isinstance(active, list)
        assert [project["id"] for project in active] == [project_id]
        assert [job["status"] for job in active[0]["workerJobs"]] == ["queued"]
        supernet.resume_workers()
        assert of_type(wire.finish(project_id), "jobResult")


def test_other_app_ids_do_not_see_it(supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    with Wire(supernet) as wire, Wire(supernet, app_id="other") as other:
        project_id = wire.connect().create()
        wire.next("jobState", "queued")
        assert greeting(other)["activeProjects"] == []
        path = "/api/v1/artist/projects/sync"
        assert other.get(path, appId="other").json()["activeProjects"] == []
        elsewhere = other.get(path).json()["activeProjects"]
    assert [(project["id"], project["appId"]) for project in elsewhere] == [(project_id, "wire-test")]


def test_the_snapshot_over_http_repeats_itself(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.drop_socket(before="completed")
    wire.connect().create()
    supernet.wait_for(lambda: supernet.projects and supernet.projects[0]["finished"])
    for _ in range(2):
        snapshot = wire.get("/api/v1/artist/projects/sync", appId="wire-test").json()
        assert len(snapshot["unclaimedCompletedProjects"]) == 1


def test_snapshots_are_limited_to_twenty_in_ten_seconds(wire: Wire) -> None:
    replies = [wire.get("/api/v1/artist/projects/sync") for _ in range(21)]
    assert [reply.status_code for reply in replies] == [200] * 20 + [429]
    assert int(replies[-1].headers["Retry-After"]) in range(1, 11)


def test_a_project_is_in_v1_once_finished_and_in_v2_from_the_start(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    project_id = wire.connect().create()
    wire.next("jobState", "queued")
    assert wire.get(f"/v1/projects/{project_id}").status_code == 404
    assert wire.data(f"/v2/projects/{project_id}")["project"]["status"] == "queued"
    assert wire.get("/api/v1/artist/projects/active").json() == {"projects": [{"id": project_id}]}
    supernet.resume_workers()
    wire.finish(project_id)
    assert wire.data(f"/v1/projects/{project_id.lower()}")["project"]["reason"] == "allJobsCompleted"
    assert wire.data(f"/v2/projects/{project_id}")["project"]["finished"]
    assert wire.get("/api/v1/artist/projects/active").json() == {"projects": []}


def test_a_cancellation_is_confirmed_and_costs_nothing(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    before = supernet.account.balance
    project_id = wire.connect().create()
    cancel = {
        "jobID": project_id,
        "error": "artistCanceled",
        "error_message": "artistCanceled",
        "isFromWorker": False,
    }
    wire.send("jobError", cancel)
    assert wire.next("artistCancelConfirmation") == {"jobID": project_id, "didCancel": True}
    assert supernet.account.balance == before
    assert wire.data(f"/v1/projects/{project_id}")["project"]["status"] == "cancelled"
    supernet.resume_workers()
    wire.send("jobError", cancel)
    assert not wire.next("artistCancelConfirmation")["didCancel"]
    assert supernet.violations == []


def test_a_cancellation_stops_a_running_worker() -> None:
    with LocalSupernet(clock="manual", step_time=1) as supernet, Wire(supernet) as wire:
        project_id = wire.connect().create()
        wire.next("jobState", "initiatingModel")
        supernet.clock.advance(2.5)
        wire.next("jobProgress")
        wire.send("jobError", {"jobID": project_id, "error": "artistCanceled", "isFromWorker": False})
        assert wire.next("artistCancelConfirmation")["didCancel"]
        second = wire.create()
        wire.next("jobState", "initiatingModel")
        supernet.clock.advance(60)
        frames = wire.finish(second)
    assert {data["jobID"] for name, data in frames if name == "jobProgress"} == {second}


def test_a_cancellation_can_be_denied(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.deny_cancel(message="too late")
    supernet.pause_workers()
    project_id = wire.connect().create()
    wire.send("jobError", {"jobID": project_id, "error": "artistCanceled", "isFromWorker": False})
    answer = wire.next("artistCancelConfirmation")
    assert (answer["didCancel"], answer["error_message"]) == (False, "too late")
    supernet.resume_workers()
    wire.finish(project_id)
