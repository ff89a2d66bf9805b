"""A client and its loop: whose it is, how it ends, and what is left when nobody closes it."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni.errors import ClientClosedError, SogniTimeoutError
from sogni_async import Project, SogniClient, as_completed, wait
from tests.transport.websocket_peers import GUARD, Connection, serving

SOON = 30.0


@pytest.fixture(scope="module")
def quick() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as supernet:
        yield supernet


@pytest.fixture
def slow() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=5) as supernet:
        yield supernet


def client_of(supernet: LocalSupernet, **options: Any) -> SogniClient:
    return SogniClient(
        api_key=supernet.api_key,
        rest_endpoint=supernet.rest_endpoint,
        socket_endpoint=supernet.socket_endpoint,
        **options,
    )


async def image(client: SogniClient, **more: Any) -> Project:
    fields: dict[str, Any] = {"model_id": "flux1-schnell-fp8", "positive_prompt": "a lighthouse", **more}
    return await client.projects.create(type="image", width=256, height=256, **fields)


def tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("sogni")}


# --- whose it is


def test_constructing_reading_and_listening_need_no_loop(quick: LocalSupernet) -> None:
    client = client_of(quick)
    client.on("connected", print)
    assert (client.is_connected, client.closed, client.projects.tracked_projects) == (False, False, [])


def test_another_loop_is_refused_while_the_first_is_not_closed(quick: LocalSupernet) -> None:
    client = client_of(quick)
    first = asyncio.new_event_loop()
    try:
        project = first.run_until_complete(image(client))

        async def elsewhere() -> None:
            for attempt in (client.account.me, client.close, project.wait):
                with pytest.raises(RuntimeError, match="another event loop"):
                    await attempt()
            with pytest.raises(RuntimeError, match="another event loop"):
                await anext(project.events())

        asyncio.run(elsewhere())
        first.run_until_complete(client.close())
    finally:
        first.close()


def test_once_its_loop_is_closed_a_client_is_as_if_new(quick: LocalSupernet) -> None:
    client = client_of(quick)

    async def once() -> tuple[Project, str | None]:
        project = await image(client)
        await project.wait(timeout=SOON)
        return project, client.app_id

    first, app_id = asyncio.run(once())
    assert not client.is_connected
    assert client.projects.tracked_projects == []

    async def again() -> None:
        second, same = await once()
        assert (second.status, same) == ("completed", app_id)
        assert first.status == "completed"
        with pytest.raises(ClientClosedError, match="attach"):
            await first.cancel()
        assert (await client.projects.attach(first)).id == first.id
        await client.close()

    asyncio.run(again())


def test_a_closed_client_stays_closed_in_another_loop(quick: LocalSupernet) -> None:
    client = client_of(quick)
    asyncio.run(client.close())

    async def again() -> None:
        with pytest.raises(ClientClosedError):
            await client.account.me()
        await client.close()

    asyncio.run(again())
    assert client.closed


# --- how it ends


async def test_closing_is_repeatable_concurrent_and_leaves_no_task(quick: LocalSupernet) -> None:
    client = client_of(quick)
    await client.connect()
    assert tasks() >= {"sogni-reader"}
    await asyncio.gather(client.close(), client.close())
    await client.close()
    assert tasks() == set()
    with pytest.raises(ClientClosedError):
        await client.connect()


async def test_closing_ends_waits_with_a_clear_error(slow: LocalSupernet) -> None:
    client = client_of(slow)
    project = await image(client)
    waiting = asyncio.create_task(project.wait())
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ClientClosedError):
        await waiting


async def test_closing_runs_the_callbacks_that_are_queued(quick: LocalSupernet) -> None:
    seen: list[str] = []
    release = asyncio.Event()

    async def slow_one(value: Any) -> None:
        await release.wait()
        seen.append("completed")

    async with client_of(quick) as client:
        project = await image(client)
        project.on("completed", slow_one)
        await project.wait(timeout=SOON)
        assert seen == []
        asyncio.get_running_loop().call_later(0.05, release.set)
    assert seen == ["completed"]


async def test_a_callback_may_close_its_client_and_wait_for_projects(quick: LocalSupernet) -> None:
    done = asyncio.Event()
    client = client_of(quick)
    project = await image(client)

    async def callback(value: Any) -> None:
        assert (await project.wait(timeout=SOON)).status == "completed"
        await client.close()
        done.set()

    project.on("job_started", callback)
    await asyncio.wait_for(done.wait(), SOON)
    assert client.closed


async def test_a_callback_that_never_ends_does_not_hold_up_the_end(
    quick: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    from sogni import Timeouts

    release = asyncio.Event()
    client = client_of(quick, timeout=Timeouts(close=0.2))
    client.on("connected", lambda event: release.wait())
    await client.connect()
    with caplog.at_level(logging.WARNING, "sogni"):
        await client.close()
    assert "a callback is still running" in caplog.text
    release.set()


async def test_closing_while_connecting_does_not_wait(quick: LocalSupernet) -> None:
    begun, release = threading.Event(), threading.Event()

    def silent(connection: Connection) -> None:
        connection.read_request()
        begun.set()
        release.wait(GUARD)

    with serving(silent) as url:
        client = SogniClient(api_key="k", rest_endpoint=quick.rest_endpoint, socket_endpoint=url)
        connecting = asyncio.create_task(client.connect())
        await asyncio.to_thread(begun.wait, GUARD)
        async with asyncio.timeout(5):
            await client.close()
        with pytest.raises(ClientClosedError):
            await connecting
        release.set()


# --- waiting


async def test_a_cancelled_wait_leaves_at_once_and_can_be_made_again(quick: LocalSupernet) -> None:
    async with client_of(quick) as client:
        project = await image(client)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(project.wait(), 0)
        assert (await project.wait(timeout=SOON)).status == "completed"


async def test_running_out_of_time_says_which_phase(slow: LocalSupernet) -> None:
    async with client_of(slow) as client:
        project = await image(client)
        with pytest.raises(SogniTimeoutError) as caught:
            await project.wait(timeout=0.05)
        assert (caught.value.phase, caught.value.timeout) == ("run", 0.05)
        assert not project.finished


async def test_many_are_waited_for_together(quick: LocalSupernet) -> None:
    async with client_of(quick) as client:
        projects = [await image(client) for _ in range(5)]
        done, left = await wait(projects, timeout=SOON)
        assert (done, left) == (set(projects), set())
        assert {project async for project in as_completed(projects)} == set(projects)
        requests = [{"type": "image", "model_id": "flux1-schnell-fp8", "positive_prompt": str(n)} for n in range(4)]
        finished = [request["positive_prompt"] async for request, _ in client.projects.map(requests, concurrency=2)]
        assert sorted(finished) == ["0", "1", "2", "3"]


async def test_leaving_an_iteration_early_lets_go_of_it(quick: LocalSupernet) -> None:
    async with client_of(quick) as client:
        project = await image(client)
        events = project.events(timeout=SOON)
        assert (await anext(events)).name
        await events.aclose()  # type: ignore[attr-defined]
        names = [event.name async for event in project.events(timeout=SOON)]
        assert names[-1] == "completed"


async def test_a_pickled_project_comes_back_detached_and_can_be_attached(quick: LocalSupernet) -> None:
    async with client_of(quick) as client:
        project = await image(client)
        await project.wait(timeout=SOON)
        copy = pickle.loads(pickle.dumps(project))
        assert (copy, copy.status) == (project, "completed")
        with pytest.raises(ClientClosedError, match="attach"):
            await copy.jobs[0].get_result_data()


# --- when nobody closes it


async def test_a_dropped_client_is_collected_and_its_tasks_end(quick: LocalSupernet) -> None:
    client = client_of(quick)
    await (await image(client)).wait(timeout=SOON)
    reference = weakref.ref(client._engine)
    del client
    async with asyncio.timeout(SOON):
        while reference() is not None or tasks() or quick.connection_count:
            gc.collect()
            await asyncio.sleep(0.01)


def test_a_loop_that_ends_without_close_takes_everything_along(
    quick: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> SogniClient:
        client = client_of(quick)
        await (await image(client)).wait(timeout=SOON)
        return client

    client = asyncio.run(main())
    assert not client.is_connected
    assert caplog.text == ""


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_loop_that_is_closed_under_a_client_is_no_trouble(
    quick: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.new_event_loop()
    client = client_of(quick)
    loop.run_until_complete(client.connect())
    loop.run_until_complete(client.account.me())
    loop.close()
    assert not client.is_connected
    asyncio.run(client.close())
    del client
    gc.collect()
    assert caplog.text == ""
