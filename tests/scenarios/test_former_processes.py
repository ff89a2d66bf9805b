"""A script that ended before its projects did is followed by another one that finishes and saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, until

SYNC = "/api/v1/artist/projects/sync"


async def leave_behind(sdk: Sdk, supernet: LocalSupernet, *, finished: bool, **fields: Any) -> Any:
    """A project of a client that was closed before it finished."""
    supernet.pause_workers()
    async with sdk.client(supernet, app_id="painter") as earlier:
        project = await sdk.create(earlier, **fields)
    await until(lambda: supernet.connection_count == 0)
    if finished:
        supernet.resume_workers()
        await until(lambda: supernet.projects[-1]["finished"])
    return project


async def test_a_running_project_is_followed_and_saved(sdk: Sdk, supernet: LocalSupernet, tmp_path: Path) -> None:
    before = await leave_behind(sdk, supernet, finished=False, number_of_media=2, positive_prompt="a pier")
    async with sdk.client(supernet, app_id="painter") as later:
        announced: list[Any] = []
        later.projects.on("active_projects_recovered", announced.append)
        later.projects.on("projects_synced", announced.append)
        found = await sdk.call(later.projects.sync)
        (project,) = found.recovered_active
        assert (found.reason, found.active, found.recovered_completed) == ("manual", [], [])
        assert (project, project.recovered, before.recovered) == (before, True, False)
        assert (project.status, project.params.positive_prompt) == ("queued", "a pier")
        assert await until(lambda: len(announced) == 2 and announced) == [[project], found]
        assert later.projects.tracked_projects[0] is announced[0][0] is project
        again = await sdk.call(later.projects.sync)
        assert (again.active, again.recovered_active) == ([project], [])
        supernet.resume_workers()
        await sdk.call(project.wait, timeout=SOON)
        assert len(await sdk.call(project.save, tmp_path)) == 2
        assert found.to_dict()["recoveredActive"] == [project.to_dict()]
    queries = [request.query for request in supernet.requests if getattr(request, "path", "") == SYNC]
    assert queries == [{"appId": "painter"}] * 2
    assert supernet.violations == []


async def test_a_finished_project_is_announced_once_the_client_connects(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path
) -> None:
    before = await leave_behind(sdk, supernet, finished=True, number_of_media=2)
    announced: list[tuple[str, Any]] = []
    async with sdk.client(supernet, app_id="painter") as later:
        for event in ("active_projects_recovered", "completed_projects_recovered", "projects_synced"):
            later.projects.on(event, lambda value, event=event: announced.append((event, value)))
        await sdk.call(later.connect, timeout=SOON)
        await until(lambda: len(announced) == 2)
        (first, (project,)), (second, found) = announced
        assert (first, second) == ("completed_projects_recovered", "projects_synced")
        assert (found.reason, found.recovered_completed, found.recovered_active) == ("authenticated", [project], [])
        assert (project, project.recovered, project.finished, project.cost) == (before, True, True, project.cost)
        assert len(project.result_urls) == 2
        assert len(await sdk.call(project.save, tmp_path)) == 2
        again = await sdk.call(later.projects.sync)
        assert (again.recovered_completed, again.completed) == ([], [])
    assert supernet.violations == []


async def test_what_was_found_before_the_connection_is_not_announced_again(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(0)
    before = await leave_behind(sdk, supernet, finished=True)
    announced: list[Any] = []
    async with sdk.client(supernet, app_id="painter") as later:
        later.projects.on("completed_projects_recovered", announced.extend)
        later.projects.on("projects_synced", announced.append)
        found = await sdk.call(later.projects.sync)
        assert [(project.id, project.status) for project in found.recovered_completed] == [(before.id, "failed")]
        await sdk.call(later.connect, timeout=SOON)
        await until(lambda: len(announced) == 3)
        assert [announced[0], announced[1].reason, announced[2].reason] == [before, "manual", "authenticated"]
        assert announced[2].recovered_completed == []


async def test_a_client_without_a_socket_finds_and_polls_them(
    sdk: Sdk, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sogni.core.projects.recovery as recovery

    monkeypatch.setattr(recovery, "MIN_POLL_INTERVAL", 0.02)
    await leave_behind(sdk, supernet, finished=False)
    async with sdk.client(supernet, app_id="painter", disable_socket=True) as later:
        (project,) = (await sdk.call(later.projects.sync)).recovered_active
        supernet.resume_workers()
        assert (await sdk.call(project.wait, timeout=SOON)).status == "completed"


async def test_a_comparison_the_service_refuses_is_an_error(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.http(SYNC, status=403)
    with pytest.raises(sdk.PermissionDeniedError):
        await sdk.call(client.projects.sync)
    assert (await sdk.call(client.projects.sync)).active == []


async def test_a_client_without_socket_and_app_id_has_nothing_to_compare(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, disable_socket=True) as other:
        with pytest.raises(sdk.ValidationError, match="app_id must be set"):
            await sdk.call(other.projects.sync)
