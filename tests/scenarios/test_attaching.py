"""A project can be followed from anywhere: by its id, by a copy, by several clients, once or twice (api: `attach`)."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, until


async def test_a_canceled_project_is_canceled_wherever_it_is_attached(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    supernet.pause_workers()
    async with sdk.client(supernet) as other:
        project = await sdk.create(client)
        running = await sdk.call(other.projects.attach, project.id)
        await sdk.call(project.cancel)
        with pytest.raises(sdk.ProjectCanceledError):
            await sdk.call(running.wait, timeout=SOON)
    async with sdk.client(supernet) as late:
        ended = await sdk.call(late.projects.attach, project.id)
        assert [ended.status, ended.error, [job.status for job in ended.jobs]] == ["canceled", None, ["canceled"]]


async def test_a_failed_project_keeps_its_error_wherever_it_is_attached(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    supernet.faults.fail_job(0)
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=SOON, check=False)
    async with sdk.client(supernet) as other:
        attached = await sdk.call(other.projects.attach, project.id)
        with pytest.raises(sdk.ProjectFailedError) as caught:
            await sdk.call(attached.wait, timeout=SOON)
    assert [caught.value.code, caught.value.original_code] == [project.error.code, project.error.original_code]


async def test_a_project_of_another_open_client_is_followed_by_both(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    heard: list[str] = []
    async with sdk.client(supernet) as one, sdk.client(supernet) as two:
        project = await sdk.create(one)
        project.on("completed", lambda urls: heard.append("first"))
        attached = await sdk.call(two.projects.attach, project)
        attached.on("completed", lambda urls: heard.append("second"))
        supernet.resume_workers()
        await asyncio.gather(sdk.call(project.wait, timeout=SOON), sdk.call(attached.wait, timeout=SOON))
        await until(lambda: len(heard) == 2)
        assert project == attached
        assert project is not attached


async def test_a_project_of_a_closed_client_goes_on_with_another(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    async with sdk.client(supernet) as one:
        project = await sdk.create(one)
    async with sdk.client(supernet) as two:
        assert await sdk.call(two.projects.attach, project) is project
        supernet.resume_workers()
        await sdk.call(project.wait, timeout=SOON)


@pytest.mark.parametrize("app_id", ["the same", "another"])
@pytest.mark.parametrize("connected", [False, True])
async def test_the_copy_that_is_attached_is_followed(
    sdk: Sdk, supernet: LocalSupernet, app_id: str, connected: bool
) -> None:
    """With the same app id the snapshot names the project, before the copy is attached or after."""
    supernet.pause_workers()
    async with sdk.client(supernet, app_id="the same") as one:
        pickled = pickle.dumps(await sdk.create(one, number_of_media=2))
    heard: list[Any] = []
    async with sdk.client(supernet, app_id=app_id) as two:
        if connected:
            await sdk.call(two.connect, timeout=SOON)
        if connected and app_id == "the same":
            await until(lambda: two.projects.tracked_projects)
        copy = pickle.loads(pickled)
        copy.on("completed", heard.append)
        attached = await sdk.call(two.projects.attach, copy)
        supernet.resume_workers()
        for waiting in (copy, attached):
            assert len(await sdk.call(waiting.wait_for_completion, timeout=SOON)) == 2
        await until(lambda: heard)
        assert [job.result_url for job in copy.jobs] == copy.result_urls


async def test_attached_twice_at_once_it_is_asked_after_once(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    async with sdk.client(supernet) as one, sdk.client(supernet) as two:
        project = await sdk.create(one)
        copies = [pickle.loads(pickle.dumps(project)), pickle.loads(pickle.dumps(project))]
        attached = await asyncio.gather(*(sdk.call(two.projects.attach, copy) for copy in copies))
        assert attached[0]._state is attached[1]._state is copies[0]._state is copies[1]._state
        supernet.resume_workers()
        await asyncio.gather(*(sdk.call(copy.wait, timeout=SOON) for copy in copies))


@pytest.mark.parametrize("bad", ["", "..", None, 5, b"id"])
async def test_what_is_no_project_is_refused_before_anything_is_sent(
    sdk: Sdk, client: Any, supernet: LocalSupernet, bad: Any
) -> None:
    for name in ("attach", "get", "get_status", "get_result", "cancel"):
        with pytest.raises(sdk.ValidationError):
            await sdk.call(getattr(client.projects, name), bad)
    assert supernet.requests == []


@pytest.mark.parametrize("strange", ["a/b", "../account/me", "x?y=1", "ä"])
async def test_an_id_never_leads_to_another_address(
    sdk: Sdk, client: Any, supernet: LocalSupernet, strange: str
) -> None:
    for name in ("attach", "get", "get_status", "get_result"):
        with pytest.raises(sdk.NotFoundError):
            await sdk.call(getattr(client.projects, name), strange)
    assert all("/projects/" in request.path for request in supernet.requests if hasattr(request, "method"))
