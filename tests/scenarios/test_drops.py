"""A broken connection loses nothing and makes nothing twice, whatever it breaks (transport §13)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from sogni.core.connection.websocket import CLOSE
from sogni.emulator import LocalSupernet, RecordedUpgrade
from tests.scenarios.conftest import SOON, Sdk, until
from tests.transport.websocket_peers import Connection, serving


@pytest.fixture(autouse=True)
def judged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service needs seconds before a request can be called lost; the emulator does not."""
    import sogni.core.connection.state as connection
    import sogni.core.projects.recovery as recovery

    monkeypatch.setattr(recovery, "SNAPSHOT_DELAY", 0.05)
    monkeypatch.setattr(recovery, "RECHECK_DELAY", 0.01)
    monkeypatch.setattr(recovery, "LOOKUP_PAUSE", 0.05)
    monkeypatch.setattr(connection, "MIN_DELAY", 0.02)


def requests_for(supernet: LocalSupernet, project_id: str) -> int:
    """How often the request of a project arrived and was read."""
    frames = [a for a in supernet.requests if getattr(a, "type", "") == "jobRequest" and not a.dropped]
    return sum(1 for frame in frames if frame.data["jobID"] == project_id)


def upgrades(supernet: LocalSupernet) -> list[Any]:
    """The connections that were opened."""
    return [a for a in supernet.requests if isinstance(a, RecordedUpgrade)]


def made(supernet: LocalSupernet) -> list[int]:
    """The number of results of each project the emulator knows."""
    return [len(project["completedWorkerJobs"]) for project in supernet.projects]


@pytest.mark.parametrize(
    "stage", ["request_received", "queued", "initiating", "started", "progress", "result", "completed"]
)
async def test_a_cut_at_any_stage_of_a_project(sdk: Sdk, supernet: LocalSupernet, stage: str) -> None:
    async with sdk.client(supernet) as client:
        fault = supernet.faults.drop_socket(at=stage)
        project = await sdk.create(client, number_of_media=2, steps=3)
        urls = await sdk.call(project.wait_for_completion, timeout=SOON)
        assert [len(urls), len(set(urls)), fault.fired] == [2, 2, 1]
        assert [requests_for(supernet, project.id), made(supernet)] == [1, [2]]


@pytest.mark.parametrize("stage", ["queued", "started", "result", "completed"])
async def test_a_cut_instead_of_a_frame(sdk: Sdk, supernet: LocalSupernet, stage: str) -> None:
    async with sdk.client(supernet) as client:
        supernet.faults.drop_socket(before=stage)
        project = await sdk.create(client, number_of_media=2)
        assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 2
        assert [requests_for(supernet, project.id), made(supernet)] == [1, [2]]


async def test_a_request_that_died_with_its_connection_is_sent_again_once(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        await sdk.call(client.connect, timeout=SOON)
        supernet.faults.lose_request(drop=True)
        project = await sdk.create(client)
        assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 1
        assert [requests_for(supernet, project.id), made(supernet)] == [1, [1]]


async def test_a_cut_before_sending(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        await sdk.call(client.connect, timeout=SOON)
        supernet.drop_connections()
        project = await sdk.create(client)
        assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 1
        assert made(supernet) == [1]


async def test_refused_while_restarting_is_sent_again_on_the_next_connection(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        await sdk.call(client.connect, timeout=SOON)
        supernet.faults.refuse_project(error=1001, message="restarting")
        project = await sdk.create(client)
        await until(lambda: not supernet.faults.pending)
        supernet.drop_connections(code=1001)
        assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 1


async def test_a_cancellation_whose_confirmation_is_lost_in_a_drop(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    async with sdk.client(supernet) as client:
        project = await sdk.create(client)
        supernet.faults.drop_socket(before="canceled")
        await asyncio.wait_for(sdk.call(project.cancel), SOON)
        assert [project.status, project.finished] == ["canceled", True]


async def test_upgrades_refused_for_a_while(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        supernet.faults.refuse_upgrade(times=3, status=503)
        project = await sdk.create(client)
        assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 1


async def test_listeners_hear_of_the_drop_and_the_return(sdk: Sdk, supernet: LocalSupernet) -> None:
    heard: list[str] = []
    async with sdk.client(supernet) as client:
        for name in ("connected", "reconnecting", "connecting", "disconnected"):
            client.on(name, lambda event, name=name: heard.append(name))
        await sdk.call(client.connect, timeout=SOON)
        supernet.drop_connections()
        await until(lambda: heard.count("connected") == 2)
        assert client.is_connected
    assert heard == ["connected", "reconnecting", "connecting", "connected", "disconnected"]


async def test_being_displaced_names_the_app_id_and_the_cure(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, app_id="SAME") as first, sdk.client(supernet, app_id="SAME") as second:
        supernet.pause_workers()
        project = await sdk.create(first)
        await sdk.call(second.connect, timeout=SOON)
        with pytest.raises(sdk.ConnectionRejectedError, match=r"'SAME'.*its own app_id") as caught:
            await sdk.call(project.wait, timeout=SOON)
        assert [caught.value.close_code, first.is_authenticated] == [4015, True]
        with pytest.raises(sdk.ConnectionRejectedError):
            await sdk.create(first)
        supernet.resume_workers()


@pytest.mark.parametrize("code", [4010, 4021, 4999])
async def test_a_refusal_for_good_ends_every_wait(sdk: Sdk, supernet: LocalSupernet, code: int) -> None:
    async with sdk.client(supernet) as client:
        supernet.pause_workers()
        project = await sdk.create(client)
        supernet.drop_connections(code=code, reason="no")
        with pytest.raises((sdk.ConnectionRejectedError, sdk.AuthenticationError)):
            await sdk.call(project.wait, timeout=SOON)
        assert not client.is_authenticated
        supernet.resume_workers()


async def test_clients_of_one_machine_do_not_displace_each_other(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as first, sdk.client(supernet) as second:
        for client in (first, second):
            await sdk.call(client.connect, timeout=SOON)
        assert first.app_id != second.app_id
        assert [first.is_connected, second.is_connected] == [True, True]
        stable = first.app_id
    async with sdk.client(supernet) as third:
        await sdk.call(third.connect, timeout=SOON)
        assert third.app_id == stable


async def test_frames_twice_late_or_broken_change_nothing(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        supernet.faults.duplicate_frames("jobResult", copies=3, times=9)
        supernet.faults.duplicate_frames("jobState", copies=2, times=9)
        supernet.faults.malform_frame("jobProgress", raw="{half")
        project = await sdk.create(client, number_of_media=3, steps=3)
        urls = await sdk.call(project.wait_for_completion, timeout=SOON)
        assert len(urls) == len(set(urls)) == 3


async def test_frames_that_come_twice_are_announced_once(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        events: list[Any] = []
        client.projects.on("project", events.append)
        client.projects.on("job", events.append)
        supernet.faults.duplicate_frames("jobResult", copies=3, times=9)
        supernet.faults.duplicate_frames("jobState", copies=3, times=9)
        project = await sdk.create(client, number_of_media=2, steps=3)
        await sdk.call(project.wait_for_completion, timeout=SOON)
        await sdk.call(client.close)
        found = [(type(it).__name__, it.type) for it in events if it.type in ("queued", "completed", "started")]
        assert sorted(found) == [
            ("JobEvent", "completed"), ("JobEvent", "completed"), ("JobEvent", "started"), ("JobEvent", "started"),
            ("ProjectEvent", "completed"), ("ProjectEvent", "queued"),
        ]  # fmt: skip


async def test_an_end_during_an_absence_is_announced(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        events: list[Any] = []
        client.projects.on("project", events.append)
        client.projects.on("job", events.append)
        supernet.faults.drop_socket(before="result")
        supernet.faults.refuse_upgrade(times=2, status=503)
        project = await sdk.create(client)
        await sdk.call(project.wait_for_completion, timeout=SOON)
        await sdk.call(client.close)
        ends = [(type(it).__name__, it.type) for it in events if it.type == "completed"]
        assert sorted(ends) == [("JobEvent", "completed"), ("ProjectEvent", "completed")]


async def test_a_retried_job_is_one_job(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        supernet.faults.retry_job(0)
        project = await sdk.create(client, number_of_media=2)
        assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 2
        assert len(project.jobs) == 2


async def test_a_server_that_is_silent_at_first_gets_its_frames_late(
    sdk: Sdk, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet.faults.delay_frames("authenticated", seconds=0.3)
    async with sdk.client(supernet) as client:
        project = await sdk.create(client)
        assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 1
        assert supernet.violations == []


async def test_signing_is_tried_until_it_works(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        supernet.faults.http("/v1/image/downloadUrl", status=503, times=3)
        project = await sdk.create(client, number_of_media=2)
        assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 2


async def test_a_young_project_does_not_delay_the_results_of_others(
    sdk: Sdk, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sogni.core.projects.recovery as recovery

    monkeypatch.setattr(recovery, "SNAPSHOT_DELAY", 2 * SOON)
    async with sdk.client(supernet) as client:
        await sdk.call(client.connect, timeout=SOON)
        supernet.faults.lose_request(drop=True)
        await sdk.create(client)
        await until(lambda: upgrades(supernet)[1:])
        supernet.faults.drop_socket(before="result")
        project = await sdk.create(client)
        assert len(await sdk.call(project.wait_for_completion, timeout=SOON / 2)) == 1


async def test_switching_the_network(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        await sdk.call(client.connect, timeout=SOON)
        assert await sdk.call(client.account.switch_network, "relaxed") == "relaxed"
        await until(lambda: client.current_account.network == "relaxed")
        supernet.drop_connections()
        upgrade = (await until(lambda: upgrades(supernet)[1:]))[-1]
        assert upgrade.query["forceWorkerId"] == ""


async def test_subscriptions_are_kept_over_a_reconnect(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        frames: list[Any] = []
        client.api_client.on("socketEventSubscriptionsUpdated", frames.append)
        await sdk.call(client.set_socket_event_subscriptions, {"toastMessage": False})
        await until(lambda: frames)
        supernet.drop_connections()
        upgrade = (await until(lambda: upgrades(supernet)[1:]))[-1]
        assert '"toastMessage":false' in upgrade.query["socketEventSubscriptions"]


@pytest.mark.parametrize("code", [4015, 4021])
@pytest.mark.parametrize("reason", [b"\xff", b"\xe2\x82", "no".encode("utf-16")])
async def test_a_close_code_counts_whatever_its_reason_is(sdk: Sdk, code: int, reason: bytes) -> None:
    opened: list[Connection] = []

    def peer(connection: Connection) -> None:
        opened.append(connection)
        connection.upgrade()
        connection.send(code.to_bytes(2, "big") + reason, CLOSE)
        connection.until_closed()

    with serving(peer) as url:
        client = sdk.SogniClient(api_key="key", rest_endpoint="http://127.0.0.1:1", socket_endpoint=url)
        try:
            left: list[int] = []
            client.on("disconnected", lambda event: left.append(event.code))
            with suppress(sdk.SogniError):
                await sdk.call(client.connect, timeout=SOON)
            await until(lambda: left)
            assert (left, len(opened)) == ([code], 1)
        finally:
            await sdk.call(client.close)
