"""Rules for all wait methods: limits are in seconds, and the end of a project is never withheld."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import MODEL, SOON, Sdk, until

PICTURE = Image.new("RGB", (32, 32))
WAYS = ["wait", "queue_timeout", "events", "sogni.wait", "as_completed", "wait_for_models"]


def waiting(sdk: Sdk, client: Any, project: Any, way: str, limit: Any) -> Any:
    """One way of waiting, with a limit."""

    async def waits() -> Any:
        match way:
            case "wait":
                return await sdk.call(project.wait, timeout=limit)
            case "queue_timeout":
                return await sdk.call(project.wait, queue_timeout=limit)
            case "events":
                return await sdk.collect(project.events(timeout=limit))
            case "sogni.wait":
                return await sdk.call(sdk.wait, [project], timeout=limit)
            case "as_completed":
                return await sdk.collect(sdk.as_completed([project], timeout=limit))
        return await sdk.call(client.projects.wait_for_models, limit)

    return waits()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limit", [math.nan, math.inf, -1, 10**400, "5", True], ids=lambda value: str(value)[:5])
async def test_a_limit_is_a_number_of_seconds(
    sdk: Sdk, client: Any, supernet: LocalSupernet, way: str, limit: Any
) -> None:
    supernet.pause_workers()
    project = await sdk.create(client)
    with pytest.raises(sdk.ValidationError, match="number of seconds"):
        await asyncio.wait_for(waiting(sdk, client, project, way, limit), SOON)


@pytest.mark.parametrize("way", WAYS)
async def test_a_limit_may_be_longer_than_any_clock(sdk: Sdk, client: Any, supernet: LocalSupernet, way: str) -> None:
    supernet.pause_workers()
    project = await sdk.create(client)
    task = asyncio.ensure_future(waiting(sdk, client, project, way, 1e15))
    await asyncio.wait([task], timeout=0.05)
    supernet.resume_workers()
    await task


@pytest.mark.parametrize("ended", ["closed", "displaced"])
async def test_what_is_finished_is_yielded_before_the_error_of_another_client(
    sdk: Sdk, supernet: LocalSupernet, ended: str
) -> None:
    error = sdk.ClientClosedError if ended == "closed" else sdk.ConnectionRejectedError
    async with sdk.client(supernet) as one, sdk.client(supernet, app_id="same") as two:
        finished = await sdk.create(one)
        await sdk.call(finished.wait, timeout=SOON)
        supernet.pause_workers()
        lost = await sdk.create(two)
        if ended == "closed":
            await sdk.call(two.close)
        else:
            async with sdk.client(supernet, app_id="same") as three:
                await sdk.call(three.connect, timeout=SOON)
                await until(lambda: not two.is_connected)
        first = await sdk.call(sdk.wait, [finished, lost], timeout=SOON, return_when="FIRST_COMPLETED")
        assert first == ({finished}, {lost})
        with pytest.raises(error):
            await sdk.call(sdk.wait, [finished, lost], timeout=SOON)
        seen: list[Any] = []
        with pytest.raises(error):
            async for project in sdk.iterate(sdk.as_completed([lost, finished], timeout=SOON)):
                seen.append(project)  # noqa: PERF401  kept although the iteration fails
        assert seen == [finished]


async def test_requests_that_end_in_an_error_of_their_own_lose_no_project(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    def requests() -> Any:
        for number in range(3):
            yield {"type": "image", "model_id": MODEL, "positive_prompt": str(number), "width": 256, "height": 256}
        raise LookupError("the list ends here")

    seen: list[Any] = []
    with pytest.raises(LookupError, match="ends here"):
        async for _, project in sdk.iterate(client.projects.map(requests())):
            seen.append(project.status)
    assert seen == ["completed"] * 3


@pytest.mark.parametrize("place", ["/api/v1/models/list", "/v1/assets/prepare", "/v1/image/uploadUrl", "/storage/*"])
async def test_closing_ends_what_is_being_created(sdk: Sdk, supernet: LocalSupernet, place: str) -> None:
    """Whatever is waited for, in whichever thread: the service may take minutes to answer."""
    async with sdk.client(supernet, saved_uploads=place != "/v1/image/uploadUrl") as client:
        fault = supernet.faults.http(place, hang=True)
        creating = asyncio.ensure_future(sdk.create(client, starting_image=PICTURE))
        await until(lambda: fault.fired)
        await asyncio.wait_for(sdk.call(client.close), SOON)
        with pytest.raises(sdk.ClientClosedError):
            await asyncio.wait_for(creating, SOON)
        assert supernet.projects == []


async def test_closing_ends_what_is_being_saved(sdk: Sdk, supernet: LocalSupernet, tmp_path: Path) -> None:
    async with sdk.client(supernet) as client:
        project = await sdk.create(client, number_of_media=2)
        await sdk.call(project.wait, timeout=SOON)
        fault = supernet.faults.http("/storage/*", method="GET", hang=True, times=2)
        saving = asyncio.ensure_future(sdk.call(project.save, tmp_path))
        await until(lambda: fault.spent)
        await asyncio.wait_for(sdk.call(client.close), SOON)
        with pytest.raises(sdk.ClientClosedError):
            await asyncio.wait_for(saving, SOON)
        assert list(tmp_path.iterdir()) == []


async def test_closing_does_not_wait_for_what_nobody_waits_for(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, timeout=sdk.Timeouts(close=2 * SOON)) as client:
        fault = supernet.faults.http("/v1/account/me", hang=True)
        await sdk.call(client.connect, timeout=SOON)
        await until(lambda: fault.fired)
        began = asyncio.get_running_loop().time()
        await sdk.call(client.close)
        assert asyncio.get_running_loop().time() - began < SOON


async def test_a_result_that_is_being_read_outlives_the_client(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        project = await sdk.create(client)
        await sdk.call(project.wait, timeout=SOON)
        data = await sdk.call(project.jobs[0].get_result_data)
        stream = await sdk.call(project.jobs[0].open)
    assert await sdk.call(stream.read) == data
    await sdk.call(stream.close)


LATE = ("job_started", "job_completed", "job_failed")


async def test_a_late_listener_hears_everything_in_order_and_once(sdk: Sdk, supernet: LocalSupernet) -> None:
    """Attached at any moment before the end, in a callback or outside of one."""
    async with sdk.client(supernet) as client:
        supernet.faults.http("/v1/image/downloadUrl", delay=0.3)
        supernet.faults.fail_job(1)
        project = await sdk.create(client, number_of_media=3)
        heard: dict[str, list[Any]] = {"first": [], "in a callback": [], "last": [], "once": []}

        def listen(who: str) -> None:
            for event in LATE:
                project.on(event, lambda job, event=event: heard[who].append((event, job.id)))

        listen("first")
        project.once("job_started", lambda _: listen("in a callback"))
        await until(lambda: any(job.status == "failed" for job in project.jobs))
        await until(lambda: any(event == "job_failed" for event, _ in heard["first"]))
        listen("last")
        project.once("job_started", lambda job: heard["once"].append(job.id))
        removed = project.on("job_started", lambda job: heard["once"].append("removed"))
        if not sdk.blocking:
            removed()
        await sdk.call(project.wait, timeout=SOON)
        await sdk.call(client.close)
        per_event = {who: [[it for it in got if it[0] == event] for event in LATE] for who, got in heard.items()}
        assert [len(found) for found in per_event["first"]] == [3, 2, 1]
        assert per_event["first"] == per_event["in a callback"] == per_event["last"]
        assert [it for it in heard["once"] if it != "removed"] == [heard["first"][0][1]]


async def test_a_late_listener_of_a_job_hears_how_it_ended(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        supernet.faults.fail_job(0)
        supernet.faults.http("/v1/image/downloadUrl", delay=0.3)
        project = await sdk.create(client, number_of_media=2)
        seen: list[Any] = []
        project.on("job_failed", seen.append)
        (failed,) = await until(lambda: list(seen))
        heard: list[Any] = []
        failed.on("failed", heard.append)
        await sdk.call(project.wait, timeout=SOON)
        await sdk.call(client.close)
        assert heard == [failed.error]


async def test_only_lists_of_projects_can_be_waited_for(sdk: Sdk, client: Any) -> None:
    project = await sdk.create(client)
    for projects, field in [
        (project, "projects"),
        (5, "projects"),
        ("abc", r"projects\[0\]"),
        ([project, 5], r"\[1\]"),
    ]:
        with pytest.raises(sdk.ValidationError, match=f"{field} must be a"):
            await sdk.call(sdk.wait, projects)
        with pytest.raises(sdk.ValidationError, match=f"{field} must be a"):
            sdk.as_completed(projects)
    await sdk.call(project.wait, timeout=SOON)


async def test_only_functions_can_listen(client: Any) -> None:
    with pytest.raises(TypeError, match="function must be callable, got str"):
        client.on("connected", "print")
