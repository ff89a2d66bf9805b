"""Why a project waits, and what its worker prepares: the same in both packages (additions-5x §7)."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from sogni.emulator import LocalSupernet, RecordedUpgrade
from tests.scenarios.conftest import SOON, Sdk, until

LORA = "flux-age-slider"


def upgrades(supernet: LocalSupernet) -> list[str]:
    found = [it for it in supernet.requests if isinstance(it, RecordedUpgrade)]
    return [it.query.get("socketEventSubscriptions", "") for it in found]


async def test_a_project_says_why_it_waits(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    supernet.faults.explain_wait("concurrency_limit", payment_model="free_spark", message="Two at a time")
    supernet.faults.explain_wait("model_concurrency_limit", 1, model_family="minimax_h3")
    events: list[Any] = []
    frames: list[Any] = []
    client.projects.on("project", events.append)
    client.api_client.on("projectQueue", frames.append)
    project = await sdk.create(client, number_of_media=2)
    of_project = sdk.WaitingReason(reason="concurrency_limit", message="Two at a time", payment_model="free_spark")
    await until(lambda: project.waiting_reason == of_project and frames)
    ((index, of_job),) = [(it.job_index, it.waiting_reason) for it in project.job_waiting_reasons]
    assert (index, of_job.reason, of_job.model_family) == (1, "model_concurrency_limit", "minimax_h3")
    assert (project.status, project.queue_position, project.queue_status) == ("queued", 1, "waiting")
    assert project.estimated_start_at is not None
    assert upgrades(supernet) == ['{"projectQueue":true}']
    assert frames[0]["jobID"] == project.id
    copy = pickle.loads(pickle.dumps(project))
    assert copy.waiting_reason == of_project
    assert abs(copy.estimated_start_at - project.estimated_start_at).total_seconds() < 0.01
    assert project.to_dict()["waitingReason"]["message"] == "Two at a time"

    changes: list[Any] = []
    project.on("queue_changed", changes.append)
    stream = sdk.iterate(project.events(timeout=SOON))
    first = await anext(stream)
    assert (first.name, first.value.waiting_reason) == ("queue_changed", of_project)
    supernet.resume_workers()
    assert [event.name async for event in stream][-1] == "completed"
    assert (project.waiting_reason, project.job_waiting_reasons, project.queue_status) == (None, [], None)
    await until(lambda: changes and changes[-1] == sdk.QueueChange(project_id=project.id))
    assert changes[0].waiting_reason == of_project
    await until(lambda: events[-1].type == "completed")
    assert {event.type for event in events} == {"queueChanged", "queued", "completed"}


async def test_a_project_behind_others_says_so(sdk: Sdk) -> None:
    with LocalSupernet(step_time=0, workers=1) as supernet:
        async with sdk.client(supernet) as client:
            supernet.pause_workers()
            first, second = [await sdk.create(client) for _ in range(2)]
            await until(lambda: second.waiting_reason and second.queue_position == 2)
            assert (second.waiting_reason.reason, second.queue_status) == ("queued", "waiting")
            supernet.faults.explain_wait("no_workers")
            third = await sdk.create(client)
            await until(lambda: third.waiting_reason)
            assert (third.queue_status, third.estimated_start_at) == ("no-workers", None)
            supernet.drop_connections()
            # The reasons end with the connection, and come again with the next one.
            await until(lambda: not first.waiting_reason)
            await until(lambda: first.waiting_reason and second.waiting_reason and third.waiting_reason)
            supernet.resume_workers()
            for project in (first, second, third):
                await sdk.call(project.wait, timeout=SOON)
                assert (project.waiting_reason, project.queue_status) == (None, None)


@pytest.mark.parametrize("name", ["projectQueue", "project_queue"])
async def test_the_subscription_can_be_declined(sdk: Sdk, supernet: LocalSupernet, name: str) -> None:
    supernet.pause_workers()
    async with sdk.client(supernet, socket_event_subscriptions={name: False}) as client:
        frames: list[Any] = []
        client.api_client.on("projectQueue", frames.append)
        project = await sdk.create(client)
        await until(lambda: project.waiting_reason)
        supernet.resume_workers()
        await sdk.call(project.wait, timeout=SOON)
        assert frames == []
    assert all("true" not in query for query in upgrades(supernet))


async def test_a_worker_says_what_it_prepares(sdk: Sdk) -> None:
    with LocalSupernet(step_time=0, load_time=0.001, workers=1) as supernet:
        async with sdk.client(supernet) as client:
            events: list[Any] = []
            seen: list[Any] = []
            client.projects.on("job", events.append)
            project = await sdk.create(client, loras=[LORA])
            project.on("updated", lambda names: seen.extend(job.preparation for job in project.jobs))
            await sdk.call(project.wait, timeout=SOON)
            again = await sdk.create(client)
            await sdk.call(again.wait, timeout=SOON)
            other = await sdk.create(client, model_id="krea2_turbo_fp8_scaled", width=512, height=512)
            await sdk.call(other.wait, timeout=SOON)
            await until(lambda: len([event for event in events if event.type == "completed"]) == 3)
            prepared = [(it.project_id, it.preparation) for it in events if it.type == "initiating" and it.preparation]
    of_first = [it for project_id, it in prepared if project_id == project.id]
    assert [(it.phase, it.completed, it.step) for it in of_first] == [
        ("downloadingAssets", 0, None),
        ("downloadingAssets", 1, None),
        ("loadingModel", None, "start"),
        ("loadingModel", None, "end"),
    ]
    download = of_first[0]
    assert (download.asset_type, download.requested, download.cached, download.total, download.current) == (
        "lora", 1, 0, 1, 1,
    )  # fmt: skip
    assert {project_id for project_id, _ in prepared} == {project.id, other.id}
    assert [it.phase for project_id, it in prepared if project_id == other.id] == [
        *["unloadingModel"] * 2, *["loadingModel"] * 2,
    ]  # fmt: skip
    assert project.jobs[0].preparation is None
