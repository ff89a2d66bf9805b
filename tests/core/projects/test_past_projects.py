"""Projects requested by id, without tracking them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from sogni.core.projects.file_names import DEFAULT, result_paths
from sogni.core.projects.past_projects import (
    grouped_by_project,
    project_result,
    project_status,
    recent_projects,
    save_results,
)
from sogni.errors import NotFoundError, ProtocolError, ServerError, SogniConnectionError, ValidationError
from sogni.models.projects import (
    JobRecord,
    JobResult,
    ProjectResultRecord,
    ProjectStatusRecord,
    RecentJob,
    RecentProject,
    RecordModel,
    WaitingReason,
)
from sogni.settings import RetryPolicy
from tests.core.play import JOB, MODEL, MODELS, NOW, PROJECT, Stage, bare, ok, refused

STATUS = f"GET rest/v2/projects/{PROJECT}"
QUEUED = {"reason": "queued", "message": "Waiting for a worker"}


def status(**fields: Any) -> dict[str, Any]:
    return {"id": PROJECT, "status": "processing", "finished": False, **fields}


@pytest.fixture
def stage() -> Stage:
    return Stage(retry=RetryPolicy(attempts=1))


# -- status ------------------------------------------------------------------------


def test_a_status_has_the_jobs_the_model_and_the_reason_of_a_wait(stage: Stage) -> None:
    sent = status(
        workerJobs=[{"imgID": JOB, "status": "jobProgress"}],
        completedWorkerJobs=[{"imgID": "B2", "status": "jobCompleted"}],
        model={"id": MODEL, "type": "image"},
        waitingReason=QUEUED,
        outputFormat="png",
    )
    expected = ProjectStatusRecord(
        id=PROJECT,
        status="processing",
        finished=False,
        waiting_reason=WaitingReason(reason="queued", message="Waiting for a worker"),
        model=RecordModel(id=MODEL, type="image"),
        worker_jobs=[JobRecord(img_id=JOB, status="jobProgress")],
        completed_worker_jobs=[JobRecord(img_id="B2", status="jobCompleted")],
        extra={"outputFormat": "png"},
    )
    assert expected == stage.play(project_status(PROJECT), (STATUS, ok({"project": sent})))


def test_an_id_is_one_encoded_segment_of_the_path(stage: Stage) -> None:
    sent = {"project": {"id": "a/b", "status": "failed", "finished": True}}
    assert stage.play(project_status("a/b"), ("GET rest/v2/projects/a%2Fb", ok(sent))).status == "failed"


def test_an_unknown_project_is_named_in_the_error(stage: Stage) -> None:
    reply = evolve(refused(404, "Project not found"), url=f"https://rest/v2/projects/{PROJECT}")
    assert PROJECT in str(stage.fail(NotFoundError, project_status(PROJECT), (STATUS, reply)))


def test_a_busy_service_is_a_server_error(stage: Stage) -> None:
    assert stage.fail(ServerError, project_status(PROJECT), (STATUS, refused(503))).status == 503


@pytest.mark.parametrize(
    "data", [None, {}, {"project": None}, {"project": []}, {"project": {"id": PROJECT}}, {"project": {"status": "x"}}]
)
def test_a_response_without_a_status_is_malformed(stage: Stage, data: Any) -> None:
    stage.fail(ProtocolError, project_status(PROJECT), (STATUS, ok(data)))


@pytest.mark.parametrize("bad", ["", " ", "..", None, 5])
def test_an_id_must_be_a_string_with_content(stage: Stage, bad: Any) -> None:
    assert stage.fail(ValidationError, project_status(bad)).field == "project_id"


def test_a_malformed_reason_counts_as_none(stage: Stage) -> None:
    sent = {"project": status(waitingReason={"reason": "tired", "message": "m"})}
    assert stage.play(project_status(PROJECT), (STATUS, ok(sent))).waiting_reason is None


# -- results -----------------------------------------------------------------------

URL = ok({"downloadUrl": "https://store/1?sig=1"})


def completed(job_id: str = JOB, **fields: Any) -> dict[str, Any]:
    return {"imgID": job_id, "status": "jobCompleted", "seedUsed": 7, **fields}


def ended(*jobs: dict[str, Any], model_id: str = "krea2_turbo_fp8_scaled", **fields: Any) -> tuple[str, Any]:
    """The step that requests the status of a completed project."""
    model = {"id": model_id} if model_id else None
    record = status(status="completed", finished=True, completedWorkerJobs=list(jobs), model=model)
    return (STATUS, ok({"project": {**record, **fields}}))


def image(job_id: str = JOB, content_type: str = "") -> str:
    return f"GET rest/v1/image/downloadUrl?jobId={PROJECT}&imageId={job_id}&type=complete" + content_type


def media(content_type: str = "") -> str:
    return f"GET rest/v1/media/downloadUrl?jobId={PROJECT}&id={JOB}&type=complete" + content_type


def test_a_completed_job_has_its_url_kind_and_seed(stage: Stage) -> None:
    signing = (image(content_type="&contentType=image%2Fjpeg"), URL)
    found = stage.play(project_result(PROJECT), ended(completed(), outputFormat="jpg"), signing)
    expected = ProjectResultRecord(
        id=PROJECT,
        status="completed",
        finished=True,
        model_id="krea2_turbo_fp8_scaled",
        output_format="jpg",
        jobs=[JobResult(id=JOB, status="completed", seed=7, kind="image", url="https://store/1?sig=1")],
    )
    assert found == expected
    assert "sig=1" not in repr(found)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"status": "jobError", "reason": "artistCanceled"}, ("canceled", "artistCanceled")),
        ({"status": "jobError", "reason": "genfailure"}, ("failed", "genfailure")),
        ({"status": "jobError"}, ("failed", None)),
        ({"status": "jobProgress"}, ("jobProgress", None)),
        ({}, ("unknown", None)),
    ],
)
def test_other_jobs_have_a_status_and_a_reason(stage: Stage, job: dict[str, Any], expected: Any) -> None:
    (found,) = stage.play(project_result(PROJECT), ended({"imgID": JOB, **job})).jobs
    assert (found.status, found.reason) == expected
    assert (found.kind, found.url, found.url_unavailable) == (None, None, None)


@pytest.mark.parametrize(
    ("seed", "expected"), [(7, 7), (0, 0), (2**53 + 1, 2**53 + 1), ("7", 7), (-1, None), (None, None), (True, None)]
)
def test_a_seed_is_a_whole_number_from_0(stage: Stage, seed: Any, expected: Any) -> None:
    step = ended(completed(seedUsed=seed, resultUrl="u"))
    assert stage.play(project_result(PROJECT), step).jobs[0].seed == expected


def test_each_job_appears_once_and_those_that_ended_first(stage: Stage) -> None:
    running = [{"imgID": "B3", "status": "jobStarted"}, {"imgID": JOB.lower(), "status": "jobProgress"}]
    step = ended(
        completed(resultUrl="u"), {"id": "b2", "status": "jobError"}, {"status": "jobError"}, workerJobs=running
    )
    jobs = stage.play(project_result(PROJECT), step).jobs
    assert [(job.id, job.status) for job in jobs] == [(JOB, "completed"), ("B2", "failed"), ("B3", "jobStarted")]


def test_a_url_in_the_record_is_used_as_it_is(stage: Stage) -> None:
    assert stage.play(project_result(PROJECT), ended(completed(resultUrl="u"))).jobs[0].url == "u"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"triggeredNSFWFilter": True}, "sensitiveContent"),
        ({"triggeredNSFWFilter": True, "nsfwDetected": True}, None),
        ({"triggeredNSFWFilter": False, "nsfwDetected": True}, None),
    ],
)
def test_a_withheld_result_has_no_url(stage: Stage, flags: dict[str, Any], expected: Any) -> None:
    found = stage.play(project_result(PROJECT), ended(completed(resultUrl="u", **flags))).jobs[0]
    assert (found.url_unavailable, found.url) == (expected, None if expected else "u")


@pytest.mark.parametrize("reply", [refused(404), refused(503), ok({}), ConnectionError])
def test_a_url_that_is_refused_leaves_the_other_results(stage: Stage, reply: Any) -> None:
    if reply is ConnectionError:
        reply = SogniConnectionError("gone")
    steps = [(image(), reply), (image("B2"), URL)]
    jobs = stage.play(project_result(PROJECT), ended(completed(), completed("B2")), *steps).jobs
    assert [(job.url is None, job.url_unavailable) for job in jobs] == [(True, "downloadUrlFailed"), (False, None)]
    assert [bool(job.error) for job in jobs] == [True, False]


ELSEWHERE = refused(404, "This file is served by /v1/media/downloadUrl")


def test_what_the_image_route_does_not_serve_is_requested_from_the_other_from_then_on(stage: Stage) -> None:
    for script in ([(image(), ELSEWHERE), (media(), URL)], [(media(), URL)]):
        (job,) = stage.play(project_result(PROJECT), ended(completed()), *script).jobs
        assert (job.kind, job.url) == ("image", "https://store/1?sig=1")


@pytest.mark.parametrize(
    ("model_id", "script"),
    [
        ("krea2_turbo_fp8_scaled", [(image(), refused(404, "File not found"))]),
        ("wan_v2.2-14b-fp8_t2v", [(media(), ELSEWHERE)]),
    ],
)
def test_another_404_is_no_reason_to_ask_the_other_route(stage: Stage, model_id: str, script: list[Any]) -> None:
    (job,) = stage.play(project_result(PROJECT), ended(completed(), model_id=model_id), *script).jobs
    assert job.url_unavailable == "downloadUrlFailed"


def test_the_last_thousand_jobs_of_the_other_route_are_remembered(stage: Stage) -> None:
    registry = stage.state.projects
    for number in range(1001):
        registry.serve_as_media(str(number))
    assert [registry.is_served_as_media(it) for it in ("0", "1", "1000")] == [False, True, True]


LISTED = {
    "GET socket/api/v1/models/list": bare([{"id": "new", "name": "New", "SID": 9, "tier": "t", "media": "video"}])
}
GLB = "&contentType=model%2Fgltf-binary"
MP3 = "&contentType=audio%2Fmpeg"


@pytest.mark.parametrize(
    ("fields", "kind", "steps", "expected"),
    [
        ({"model_id": "pixal3d_new"}, None, [media(GLB)], "model"),
        ({"model_id": "ltx2-19b-fp8_t2v"}, "image", [media()], "video"),
        ({"model_id": "ace_step_1.5_turbo"}, None, [media(MP3)], "audio"),
        ({"model_id": "new"}, "image", [*LISTED, media()], "video"),
        ({"model_id": "", "outputFormat": "flac"}, None, [media("&contentType=audio%2Fflac")], "audio"),
        ({"model_id": "", "outputFormat": "glb"}, "video", [media(GLB)], "model"),
        ({"model": {"type": "music"}}, None, [media(MP3)], "audio"),
        ({"model": {"type": "video"}}, "image", [media()], "video"),
        ({"model": {"type": "hologram"}, "outputFormat": 5}, "image", [image()], "image"),
        ({"model_id": "", "outputFormat": "xyz"}, "video", [media()], "video"),
        ({"model_id": ""}, None, [], None),
    ],
)
def test_the_kind_follows_from_model_format_type_or_argument(
    stage: Stage, fields: dict[str, Any], kind: Any, steps: list[str], expected: str | None
) -> None:
    script = [(step, LISTED.get(step, URL)) for step in steps]
    (job,) = stage.play(project_result(PROJECT, kind), ended(completed(), **fields), *script).jobs
    assert (job.kind, job.url_unavailable) == (expected, None if expected else "unknownMediaKind")


def test_without_the_model_list_the_format_decides(stage: Stage) -> None:
    no_list = ("GET socket/api/v1/models/list", refused(503))
    step = ended(completed(), model_id="new", outputFormat="mp4")
    assert stage.play(project_result(PROJECT), step, no_list, (media(), URL)).jobs[0].kind == "video"


def test_a_model_that_is_not_listed_tells_nothing(stage: Stage) -> None:
    (job,) = stage.play(project_result(PROJECT), ended(completed(), model_id="new"), MODELS).jobs
    assert job.url_unavailable == "unknownMediaKind"


def test_a_kind_that_does_not_exist_is_refused_before_sending(stage: Stage) -> None:
    error = stage.fail(ValidationError, project_result(PROJECT, "hologram"))  # type: ignore[arg-type]
    assert str(error) == "kind must be one of 'image', 'video', 'audio', 'model', got 'hologram'"


# -- saving results ----------------------------------------------------------------

OLD, NEW = "https://store/1?sig=old", "https://store/1?sig=1"
FILE = Path("/results/a.png")


def result(*jobs: JobResult) -> ProjectResultRecord:
    return ProjectResultRecord(id=PROJECT, status="completed", finished=True, jobs=list(jobs))


def delivered(job_id: str = JOB, **fields: Any) -> JobResult:
    return JobResult(**{"id": job_id, "status": "completed", "kind": "image", "url": OLD, **fields})


def test_saved_files_are_named_by_the_place_of_their_job(stage: Stage) -> None:
    found = result(JobResult(id="B0", status="failed"), delivered(seed=7), delivered("B2", url="https://store/2"))
    names: list[str] = []

    def path_for(index: int, *names_of_job: Any) -> Any:
        names.append(str(result_paths("out", DEFAULT + "-{seed}")(index, *names_of_job)(".png")))
        return lambda suffix: FILE

    steps = [(f"save {OLD}", FILE), ("save https://store/2", FILE)]
    assert stage.play(save_results(found, path_for), *steps) == [FILE, FILE]
    assert names == [f"out/{PROJECT}-1-7.png", f"out/{PROJECT}-2-0.png"]


def test_an_expired_url_is_renewed_once(stage: Stage) -> None:
    steps = [(f"save {OLD}", refused(403)), (image(), URL), (f"save {NEW}", FILE)]
    assert stage.play(save_results(result(delivered()), result_paths("out", DEFAULT)), *steps) == [FILE]


@pytest.mark.parametrize(("job", "steps"), [(delivered(), [(image(), refused(404))]), (delivered(kind=None), [])])
def test_a_url_that_cannot_be_renewed_is_an_error(stage: Stage, job: JobResult, steps: list[Any]) -> None:
    flow = save_results(result(job), result_paths("out", DEFAULT))
    assert stage.fail(NotFoundError, flow, (f"save {OLD}", refused(404)), *steps).status == 404


def test_a_project_without_urls_saves_nothing(stage: Stage) -> None:
    assert stage.play(save_results(result(), result_paths("out", DEFAULT))) == []


# -- recent projects ---------------------------------------------------------------

WALLET = "0x" + "1" * 40
HOUR = 3600
DAY = 24 * HOUR


def listing(since: float, rest: str = "&limit=50", address: str = WALLET) -> str:
    query = f"role=artist&address={address}&state=completed&mediaOnly=true&since={int(since * 1000)}{rest}"
    return f"GET rest/v1/jobs/list?{query}"


def listed(job_id: Any = JOB, project_id: Any = PROJECT, **fields: Any) -> dict[str, Any]:
    parent = {"id": project_id, "model": {"id": MODEL, "name": "Flux"}, "appSource": "app"}
    return {"id": PROJECT, "imgID": job_id, "status": "jobCompleted", "parentRequest": parent, **fields}


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.fixture
def known(stage: Stage) -> Stage:
    """A client that knows the address of its wallet."""
    stage.state.account.change(wallet_address=WALLET)
    return stage


def test_recent_projects_are_those_of_the_last_day(known: Stage) -> None:
    assert known.play(recent_projects(), (listing(NOW - DAY), ok({"jobs": []}))) == []


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (at(NOW - HOUR), NOW - HOUR),
        (at(NOW - HOUR).astimezone().replace(tzinfo=None), NOW - HOUR),
        (at(NOW + 59), NOW + 59),
        (at(NOW - 8 * DAY), NOW - 7 * DAY + 60),
        (datetime.min.replace(tzinfo=UTC), NOW - 7 * DAY + 60),
    ],
)
def test_the_time_is_at_most_seven_days_ago(known: Stage, since: datetime, expected: float) -> None:
    known.play(recent_projects(since), (listing(expected), ok({"jobs": []})))


def test_limit_and_app_source_are_sent(known: Stage) -> None:
    rest = "&limit=7&appSource=my+app"
    known.play(recent_projects(limit=7, app_source="my app"), (listing(NOW - DAY, rest), ok({"jobs": []})))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit": 0}, "limit must be an integer from 1 to 100, got 0"),
        ({"limit": 101}, "limit must be an integer from 1 to 100, got 101"),
        ({"limit": 1.5}, "limit must be an integer from 1 to 100, got 1.5"),
        ({"limit": None}, "limit must be an integer from 1 to 100, got None"),
        ({"app_source": " "}, "app_source must be a non-empty string, got ' '"),
        ({"app_source": 5}, "app_source must be a string, got 5"),
        ({"since": NOW}, f"since must be a datetime, got {NOW}"),
        ({"since": timedelta(hours=1)}, "since must be a datetime, got datetime.timedelta(seconds=3600)"),
        ({"since": at(NOW + 61)}, f"since must be a time in the past, got {at(NOW + 61)!r}"),
        ({"since": datetime.min}, f"since must be a datetime that the platform supports, got {datetime.min!r}"),
    ],
)
def test_invalid_arguments_are_refused_before_sending(known: Stage, arguments: Any, message: str) -> None:
    assert str(known.fail(ValidationError, recent_projects(**arguments))) == message


def test_an_unknown_wallet_is_requested_first(stage: Stage) -> None:
    steps = [
        ("GET rest/v1/account/me", ok({"username": "ada", "walletAddress": WALLET})),
        (listing(NOW - DAY), ok({"jobs": []})),
    ]
    assert stage.play(recent_projects(), *steps) == []


def test_an_account_without_a_wallet_has_no_list(stage: Stage) -> None:
    step = ("GET rest/v1/account/me", ok({"username": "ada"}))
    assert "no wallet address" in str(stage.fail(ProtocolError, recent_projects(), step))


@pytest.mark.parametrize("data", [None, [], {}, {"jobs": None}, {"jobs": {}}])
def test_a_list_without_jobs_is_malformed(known: Stage, data: Any) -> None:
    known.fail(ProtocolError, recent_projects(), (listing(NOW - DAY), ok(data)))


def test_jobs_are_grouped_by_project(known: Stage) -> None:
    jobs = [
        listed("B1", endTime=NOW * 1000, triggeredNSFWFilter=True),
        listed("B2", "P2", endTime=(NOW + 1) * 1000, triggeredNSFWFilter=True, nsfwDetected=True),
        listed("b3", endTime=(NOW + 2) * 1000),
        listed(None, endTime=0, status="jobError", reason="artistCanceled"),
    ]
    expected = [
        RecentProject(
            id=PROJECT,
            model_id=MODEL,
            model_name="Flux",
            app_source="app",
            finished_at=at(NOW + 2),
            jobs=[
                RecentJob(id="B1", status="completed", sensitive_content_withheld=True, finished_at=at(NOW)),
                RecentJob(id="B3", status="completed", finished_at=at(NOW + 2)),
                RecentJob(id=PROJECT, status="canceled"),
            ],
        ),
        RecentProject(
            id="P2",
            model_id=MODEL,
            model_name="Flux",
            app_source="app",
            finished_at=at(NOW + 1),
            jobs=[RecentJob(id="B2", status="completed", finished_at=at(NOW + 1))],
        ),
    ]
    assert expected == known.play(recent_projects(), (listing(NOW - DAY), ok({"jobs": jobs})))


def test_projects_without_a_time_come_last() -> None:
    jobs = [
        listed(project_id="P1"),
        listed(project_id="P2", endTime=1000),
        listed(project_id="P3", endTime=-1000),
        listed(project_id="P4", endTime=2000),
    ]
    assert [project.id for project in grouped_by_project(jobs)] == ["P4", "P2", "P1", "P3"]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "job",
        {"imgID": JOB},
        {"imgID": JOB, "parentRequest": None},
        {"imgID": JOB, "parentRequest": {}},
        listed(project_id=5),
        listed(project_id=""),
        listed(job_id=5),
        listed(job_id="", id=None),
        listed(endTime="never"),
    ],
)
def test_an_entry_without_ids_or_malformed_is_skipped(entry: Any) -> None:
    assert [project.id for project in grouped_by_project([entry, listed(project_id="P")])] == ["P"]


def test_a_project_may_be_listed_without_a_model() -> None:
    parents: list[dict[str, Any]] = [{"id": "P1", "model": None}, {"id": "P2", "model": {"id": 5}, "appSource": 5}]
    entries = [{"imgID": JOB, "parentRequest": parent} for parent in parents]
    jobs = [RecentJob(id=JOB, status="unknown")]
    assert [RecentProject(id="P1", jobs=jobs), RecentProject(id="P2", jobs=jobs)] == grouped_by_project(entries)
