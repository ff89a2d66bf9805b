"""Results after one has stopped waiting: looking at projects by their id, from any process."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, until


async def finished(sdk: Sdk, client: Any, **fields: Any) -> Any:
    project = await sdk.create(client, **fields)
    return await sdk.call(project.wait, timeout=SOON, check=False)


# -- status ------------------------------------------------------------------------


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


# -- results -----------------------------------------------------------------------


@pytest.mark.parametrize("output_format", ["png", "jpg", "webp"])
async def test_another_client_gets_and_saves_the_results(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path, output_format: str
) -> None:
    project = await finished(sdk, client, number_of_media=2, output_format=output_format)
    async with sdk.client(supernet, disable_socket=True) as other:
        result = await sdk.call(other.projects.get_result, project.id.lower())
        paths = await sdk.call(result.save, tmp_path / "later", name="{index}-{seed}")
    assert (result.id, result.status, result.finished) == (project.id, "completed", True)
    assert result.model_id == project.params.model_id
    own = {job.id: ("completed", None, job.seed, "image", None) for job in project.jobs}
    found = {job.id: (job.status, job.reason, job.seed, job.kind, job.url_unavailable) for job in result.jobs}
    assert found == own
    assert [path.name for path in paths] == [
        f"{index}-{job.seed}.{output_format}" for index, job in enumerate(result.jobs)
    ]
    await sdk.call(project.save, tmp_path / "at once", name="{seed}")
    at_once = {path.stem: path.read_bytes() for path in (tmp_path / "at once").iterdir()}
    assert {path.stem.partition("-")[2]: path.read_bytes() for path in paths} == at_once
    assert supernet.violations == []


async def test_videos_and_music_have_results_too(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    video = {"type": "video", "model_id": "wan_v2.2-14b-fp8_t2v_lightx2v", "duration": 1, "width": 480, "height": 480}
    music = {"type": "audio", "model_id": "ace_step_1.5_turbo", "duration": 10}
    kinds = []
    for fields in (video, music):
        project = await sdk.call(client.projects.create, positive_prompt="a keeper", **fields)
        await sdk.call(project.wait, timeout=SOON)
        result = await sdk.call(client.projects.get_result, project.id)
        kinds.append((result.jobs[0].kind, [path.suffix for path in await sdk.call(result.save, tmp_path)]))
    assert kinds == [("video", [".mp4"]), ("audio", [".mp3"])]
    assert supernet.violations == []


async def test_a_direct_url_needs_no_signature(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    project = await sdk.call(client.projects.create, type="image", model_id="gpt-image-2", positive_prompt="a cat")
    await sdk.call(project.wait, timeout=SOON)
    (job,) = (await sdk.call(client.projects.get_result, project.id)).jobs
    assert not any(str(getattr(request, "path", "")).endswith("/downloadUrl") for request in supernet.requests)
    assert requests.get(job.url, timeout=SOON).ok


async def test_what_looked_like_an_image_is_downloaded_as_what_it_is(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    video = {"type": "video", "model_id": "wan_v2.2-14b-fp8_t2v_lightx2v", "duration": 1, "width": 480, "height": 480}
    project = await finished(sdk, client, **video)
    unpickled, (kind, snapshot) = project.__reduce__()
    # As a later version's model looks to this one.
    snapshot["params"] = {"modelId": "pictures-of-tomorrow", "type": "image"}
    for job in snapshot["jobs"]:
        del job["resultUrl"]
    async with sdk.client(supernet) as later:
        copies = [await sdk.call(later.projects.attach, unpickled(kind, snapshot)) for _ in range(2)]
        paths = [await sdk.call(copy.jobs[0].save, tmp_path / str(place)) for place, copy in enumerate(copies)]
    assert [path.suffix for path in paths] == [".mp4", ".mp4"]
    asked = [getattr(request, "path", "") for request in supernet.requests]
    routes = [str(path) for path in asked if str(path).endswith("/downloadUrl")]
    assert routes[-3:] == ["/v1/image/downloadUrl", "/v1/media/downloadUrl", "/v1/media/downloadUrl"]


async def test_a_result_tells_why_there_is_no_url(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supernet.faults.flag_nsfw(0)
    supernet.faults.fail_job(1)
    project = await finished(sdk, client, number_of_media=3)
    supernet.faults.http("/v1/image/downloadUrl", status=404)
    result = await sdk.call(client.projects.get_result, project.id)
    outcomes = sorted((job.status, str(job.url_unavailable), job.url) for job in result.jobs)
    expected = [("completed", "downloadUrlFailed", None), ("completed", "sensitiveContent", None)]
    assert outcomes == [*expected, ("failed", "None", None)]
    (missing,) = [job for job in result.jobs if job.error is not None]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == [f"project {project.id}: no URL for the result of job {missing.id}: {missing.error}"]
    assert await sdk.call(result.save, tmp_path) == []


async def test_a_running_project_has_the_results_of_the_jobs_that_ended(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    supernet.pause_workers()
    project = await sdk.create(client, number_of_media=2)
    result = await sdk.call(client.projects.get_result, project.id)
    assert (result.status, result.finished) == ("queued", False)
    assert [(job.status, job.url) for job in result.jobs] == [("queued", None)] * 2


async def test_results_can_be_pickled_and_written_as_json(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    project = await finished(sdk, client)
    result = await sdk.call(client.projects.get_result, project.id)
    copy = pickle.loads(pickle.dumps(result))
    assert copy == result
    assert copy != project
    assert copy.to_dict() == result.to_dict()
    assert set(result.to_dict()) == {"id", "status", "finished", "modelId", "outputFormat", "jobs"}
    assert repr(copy) == f"<ProjectResult {project.id} completed 1 jobs>"
    with pytest.raises(sdk.ClientClosedError, match=r"detached; call projects\.get_result again"):
        await sdk.call(copy.save, tmp_path)


async def test_what_is_no_kind_is_refused_before_anything_is_sent(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    with pytest.raises(sdk.ValidationError, match="kind must be one of"):
        await sdk.call(client.projects.get_result, "0A0A0A0A-0000-4000-8000-000000000001", kind="music")
    assert supernet.requests == []


async def test_an_unknown_project_has_no_result(sdk: Sdk, client: Any) -> None:
    with pytest.raises(sdk.NotFoundError, match="0A0A0A0A-0000-4000-8000-000000000001"):
        await sdk.call(client.projects.get_result, "0A0A0A0A-0000-4000-8000-000000000001")


# -- lookups -----------------------------------------------------------------------


async def test_projects_of_other_app_ids_are_listed_while_they_run(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    async with sdk.client(supernet, app_id="one") as one, sdk.client(supernet, app_id="two") as two:
        first, second = await sdk.create(one), await sdk.create(two)
        (found,) = await sdk.call(one.projects.list_elsewhere)
        assert (found.id, found.app_id, found.status) == (second.id, "two", "queued")
        async with sdk.client(supernet, disable_socket=True) as other:
            everything = await sdk.call(other.projects.list_elsewhere)
            assert {record.id for record in everything} == {first.id, second.id}
        await sdk.call(one.projects.cancel, found.id)
        assert await sdk.call(one.projects.list_elsewhere) == []
    asked = [it.query for it in supernet.requests if str(getattr(it, "path", "")).endswith("/projects/sync")]
    assert asked == [{}] * 3
    assert supernet.violations == []


async def test_a_list_elsewhere_is_limited(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, disable_socket=True, retry=sdk.RetryPolicy(attempts=1)) as client:
        for _ in range(20):
            await sdk.call(client.projects.list_elsewhere)
        with pytest.raises(sdk.RateLimitError):
            await sdk.call(client.projects.list_elsewhere)


async def test_missing_projects_are_finished_active_or_lost(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    done = await finished(sdk, client)
    supernet.pause_workers()
    running = await sdk.create(client)
    gone = "0A0A0A0A-0000-4000-8000-000000000001"
    async with sdk.client(supernet, disable_socket=True) as other:
        ids = [gone, running.id.lower(), done.id]
        found = await sdk.call(other.projects.resolve_missing, ids, attempts=2, delay=0)
    assert {it: found[it].state for it in found} == {gone: "lost", running.id.lower(): "active", done.id: "finished"}
    assert found[done.id].project == await sdk.call(client.projects.get, done.id)
    assert found[gone] == sdk.from_dict(sdk.MissingProject, sdk.to_dict(found[gone]))
    with pytest.raises(sdk.ValidationError, match="ids must be a list of ids"):
        await sdk.call(client.projects.resolve_missing, done.id)


# -- costs and times ---------------------------------------------------------------


async def test_cost_and_times_of_a_project_are_those_of_the_record(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    project = await finished(sdk, client, token_type="sogni", number_of_media=2)
    await until(lambda: project.cost is not None)
    record = await sdk.call(client.projects.get, project.id)
    paid = supernet.projects[0]["costActual"]["costInToken"]
    assert project.cost == record.cost == Decimal(paid) > 0
    assert project.token_type == record.token_type == "sogni"
    assert project.finished_at == record.end_time
    assert project.duration == record.duration >= 0
    times = {job.img_id: (job.start_time, job.end_time, job.duration) for job in record.completed_worker_jobs}
    assert {job.id: (job.started_at, job.finished_at, job.duration) for job in project.jobs} == times
    copy = pickle.loads(pickle.dumps(project))
    assert (copy.cost, copy.finished_at, copy.duration) == (project.cost, project.finished_at, project.duration)
    document = project.to_dict()
    assert (document["cost"], document["tokenType"], document["duration"]) == (paid, "sogni", project.duration)
    assert {job["duration"] for job in document["jobs"]} == {job.duration for job in copy.jobs}


async def test_cost_and_times_are_unknown_while_a_project_runs(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    project = await sdk.create(client)
    assert (project.cost, project.finished_at, project.duration) == (None, None, None)
    assert not {"cost", "finishedAt", "duration"} & project.to_dict().keys()
    await sdk.call(project.cancel)


# -- recent projects ---------------------------------------------------------------


async def test_a_later_script_finds_and_saves_what_an_earlier_one_started(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path
) -> None:
    async with sdk.client(supernet, app_id="earlier", app_source="painter") as earlier:
        first = await finished(sdk, earlier)
        second = await finished(sdk, earlier, number_of_media=2)
    async with sdk.client(supernet, disable_socket=True) as later:
        recent = await sdk.call(later.projects.list_recent, since=datetime.now(UTC) - timedelta(hours=1))
        assert [project.id for project in recent] == [second.id, first.id]
        assert {project.model_id for project in recent} == {first.params.model_id}
        assert {project.app_source for project in recent} == {"painter"}
        assert {job.id for job in recent[0].jobs} == {job.id for job in second.jobs}
        assert recent[0].finished_at == max(job.finished_at for job in recent[0].jobs)
        assert {(job.status, job.sensitive_content_withheld) for job in recent[0].jobs} == {("completed", False)}
        paths = []
        for project in recent:
            result = await sdk.call(later.projects.get_result, project.id)
            paths += await sdk.call(result.save, tmp_path)
    assert len(paths) == 3
    assert supernet.violations == []


async def test_recent_projects_are_limited_by_results_and_application(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    own = await finished(sdk, client, number_of_media=3, app_source="mine")
    await finished(sdk, client, app_source="other")
    assert [len(it.jobs) for it in await sdk.call(client.projects.list_recent)] == [1, 3]
    assert [len(it.jobs) for it in await sdk.call(client.projects.list_recent, limit=3)] == [1, 2]
    mine = await sdk.call(client.projects.list_recent, app_source="mine")
    assert [it.id for it in mine] == [own.id]
    assert await sdk.call(client.projects.list_recent, datetime.now(), app_source="nobody") == []
    assert mine == [sdk.from_dict(sdk.RecentProject, sdk.to_dict(it)) for it in mine]


async def test_only_completed_results_are_listed(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.flag_nsfw(0)
    supernet.faults.fail_job(1)
    await finished(sdk, client, number_of_media=2)
    (project,) = await sdk.call(client.projects.list_recent)
    assert [(job.status, job.sensitive_content_withheld) for job in project.jobs] == [("completed", True)]


async def test_a_recent_list_out_of_range_is_refused_before_anything_is_sent(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    for arguments in ({"limit": 101}, {"since": datetime.now(UTC) + timedelta(days=1)}, {"app_source": ""}):
        with pytest.raises(sdk.ValidationError):
            await sdk.call(client.projects.list_recent, **arguments)
    assert supernet.requests == []
