"""The list of completed jobs of an account, and the live record of a project."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.wire import Wire, job_request

PATH = "/v1/jobs/list"


def query(supernet: LocalSupernet, **changes: Any) -> dict[str, Any]:
    address = supernet.account.wallet_address
    since = str(round((time.time() - 3600) * 1000))
    given = {"role": "artist", "address": address, "state": "completed", "mediaOnly": "true", "since": since}
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


def test_completed_jobs_are_listed_with_their_request(wire: Wire, supernet: LocalSupernet) -> None:
    project_id = wire.connect().create(job_request(appSource="wire"))
    wire.finish(project_id)
    (job,) = wire.data(PATH, **query(supernet))["jobs"]
    model = wire.data(f"/v1/projects/{project_id}")["project"]["model"]
    listed_model = {"id": "flux1-schnell-fp8", "name": model["name"]}
    assert job["parentRequest"] == {"id": project_id, "model": listed_model, "appSource": "wire"}
    assert (job["status"], job["triggeredNSFWFilter"]) == ("jobCompleted", False)
    assert {"imgID", "endTime", "seedUsed"} <= set(job)


def test_the_newest_come_first_up_to_the_limit(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    projects = []
    for _ in range(3):
        projects.append(wire.create())
        wire.finish(projects[-1])
    found = [wire.data(PATH, **query(supernet, limit=limit))["jobs"] for limit in (None, "2", "0", "1000")]
    assert [len(jobs) for jobs in found] == [3, 2, 1, 3]
    assert [job["parentRequest"]["id"] for job in found[0]] == projects[::-1]


def test_jobs_before_the_time_or_of_other_applications_are_left_out(wire: Wire, supernet: LocalSupernet) -> None:
    wire.finish(wire.connect().create(job_request(appSource="wire")))
    tomorrow = str(round((time.time() + 24 * 3600) * 1000))
    assert wire.data(PATH, **query(supernet, since=tomorrow))["jobs"] == []
    assert wire.data(PATH, **query(supernet, appSource="other"))["jobs"] == []
    assert len(wire.data(PATH, **query(supernet, since="0", appSource="wire"))["jobs"]) == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"role": "worker"}, "role must be 'artist', got 'worker'"),
        ({"state": None}, "state must be 'completed', got None"),
        ({"mediaOnly": "1"}, "mediaOnly must be 'true', got '1'"),
        ({"address": "0x0"}, "address must be the wallet address of the account"),
        ({"since": None}, "since must be an integer, got ''"),
        ({"since": "yesterday"}, "since must be an integer, got 'yesterday'"),
        ({"limit": "1.5"}, "limit must be an integer, got '1.5'"),
        ({"offset": "5"}, "offset is not a query value of this route"),
    ],
)
def test_a_query_of_another_form_is_refused(
    wire: Wire, supernet: LocalSupernet, changes: dict[str, Any], problem: str
) -> None:
    reply = wire.get(PATH, **query(supernet, **changes))
    assert (reply.status_code, reply.json()["message"]) == (400, problem)
    assert [problem in str(violation) for violation in supernet.violations] == [True]


def test_a_live_record_has_the_format_and_why_it_waits(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    project_id = wire.connect().create(job_request(outputFormat="jpg"))
    wire.next("jobState", "queued")
    waiting = wire.data(f"/v2/projects/{project_id}")["project"]
    assert (waiting["outputFormat"], waiting["waitingReason"]["reason"]) == ("jpg", "queued")
    supernet.resume_workers()
    wire.finish(project_id)
    assert "waitingReason" not in wire.data(f"/v2/projects/{project_id}")["project"]
