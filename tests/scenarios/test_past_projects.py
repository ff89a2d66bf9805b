"""Results after one has stopped waiting: looking at projects by their id, from any process."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk


async def test_the_status_of_a_project_is_known_while_it_waits_and_when_it_has_ended(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    supernet.pause_workers()
    project = await sdk.create(client, number_of_media=2)
    async with sdk.client(supernet, disable_socket=True) as other:
        waiting = await sdk.call(other.projects.get_status, project.id)
        assert (waiting.id, waiting.status, waiting.finished) == (project.id, "queued", False)
        assert (waiting.waiting_reason.reason, len(waiting.worker_jobs)) == ("queued", 2)
        supernet.resume_workers()
        await sdk.call(project.wait, timeout=SOON)
        ended = await sdk.call(other.projects.get_status, project.id.lower())
    assert (ended.status, ended.finished, ended.waiting_reason) == ("completed", True, None)
    assert {job.img_id for job in ended.completed_worker_jobs} == {job.id for job in project.jobs}
    assert ended == sdk.from_dict(sdk.ProjectStatusRecord, sdk.to_dict(ended))


async def test_the_status_of_a_canceled_or_failed_project_says_so(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    supernet.faults.fail_job(0)
    failed = await sdk.create(client)
    await sdk.call(failed.wait, timeout=SOON, check=False)
    supernet.pause_workers()
    canceled = await sdk.create(client)
    await sdk.call(canceled.cancel)
    ended = [await sdk.call(client.projects.get_status, project.id) for project in (failed, canceled)]
    assert [(it.status, it.finished) for it in ended] == [("failed", True), ("canceled", True)]


async def test_an_unknown_project_has_no_status(sdk: Sdk, client: Any) -> None:
    with pytest.raises(sdk.NotFoundError, match="0A0A0A0A-0000-4000-8000-000000000001"):
        await sdk.call(client.projects.get_status, "0A0A0A0A-0000-4000-8000-000000000001")
