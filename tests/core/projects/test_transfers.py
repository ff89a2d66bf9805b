"""Downloading results with signed, short-lived URLs (projects-4.2 §10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sogni.core.http import HttpReply
from sogni.core.projects.file_names import paths_in
from sogni.core.projects.transfers import (
    last_frame_url,
    open_result,
    preview_data,
    result_data,
    result_url,
    save_project,
    save_result,
    save_urls,
    spool_result,
    upload_media,
)
from sogni.errors import (
    ApiError,
    ClientClosedError,
    JobError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    SogniConnectionError,
)
from sogni.models.params import ImageProjectParams
from tests.core.play import JOB, PROJECT, Stage, ok, refused

OLD, NEW = "https://store/result?sig=1", "https://store/result?sig=2"
SIGN = f"GET rest/v1/image/downloadUrl?jobId={PROJECT}&imageId={JOB}&type=complete"
FRESH = (SIGN, ok({"downloadUrl": NEW}))
FILE = Path("/results/a.png")


def path_for(suffix: str) -> Path:
    return FILE


# Each way of fetching a result: what it asks for, the good answer, and what the caller gets.
WAYS: dict[str, tuple[Any, str, Any, Any]] = {
    "data": (result_data, "GET {}", HttpReply(status=200, body=b"image"), b"image"),
    "save": (lambda job: save_result(job, path_for), "save {}", FILE, FILE),
    "open": (open_result, "open {}", "a stream", "a stream"),
    "spool": (lambda job: spool_result(job, "starting_image"), "spool starting_image from {}", "a source", "a source"),
}
each_way = pytest.mark.parametrize(("fetch", "step", "answer", "outcome"), WAYS.values(), ids=WAYS)


def test_a_url_that_is_being_requested_is_waited_for() -> None:
    stage = Stage()
    job = stage.finished_job()
    job.signing = {}
    wait = (f"until the URL of job {JOB} (request, for ever)", lambda _: job.end_signing())
    assert stage.play(result_data(job), wait, (f"GET {OLD}", HttpReply(status=200, body=b"image"))) == b"image"


@each_way
def test_a_known_address_is_fetched(fetch: Any, step: str, answer: Any, outcome: Any) -> None:
    stage = Stage()
    assert stage.play(fetch(stage.finished_job()), (step.format(OLD), answer)) == outcome


@each_way
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refused_address_is_asked_for_again(fetch: Any, step: str, answer: Any, outcome: Any, status: int) -> None:
    stage = Stage()
    job = stage.finished_job()
    got = stage.play(fetch(job), (step.format(OLD), refused(status)), FRESH, (step.format(NEW), answer))
    assert (got, job.result_url, stage.state.session.signed_in) == (outcome, NEW, True)


@each_way
def test_a_second_refusal_is_final(fetch: Any, step: str, answer: Any, outcome: Any) -> None:
    stage = Stage()
    error = stage.fail(
        NotFoundError,
        fetch(stage.finished_job()),
        (step.format(OLD), refused(403)),
        FRESH,
        (step.format(NEW), refused(404, "gone")),
    )
    assert error.message == "gone"


@each_way
def test_without_a_fresh_address_the_refusal_is_raised(fetch: Any, step: str, answer: Any, outcome: Any) -> None:
    stage = Stage()
    job = stage.finished_job()
    stage.fail(PermissionDeniedError, fetch(job), (step.format(OLD), refused(403)), (SIGN, refused(404)))
    assert job.result_url == OLD


@each_way
def test_another_refusal_is_raised_at_once(fetch: Any, step: str, answer: Any, outcome: Any) -> None:
    stage = Stage()
    assert stage.fail(ApiError, fetch(stage.finished_job()), (step.format(OLD), refused(418))).status == 418


@each_way
def test_fetching_is_tried_again_after_a_passing_failure(fetch: Any, step: str, answer: Any, outcome: Any) -> None:
    stage = Stage()
    got = stage.play(
        fetch(stage.finished_job()),
        (step.format(OLD), SogniConnectionError("cut off")),
        ("pause 0.25 ±20%", None),
        (step.format(OLD), refused(503, retry_after="4")),
        ("pause 4", None),
        (step.format(OLD), answer),
    )
    assert got == outcome


@each_way
def test_an_unknown_address_is_asked_for_first(fetch: Any, step: str, answer: Any, outcome: Any) -> None:
    stage = Stage()
    job = stage.finished_job(result_url=None)
    assert stage.play(fetch(job), FRESH, (step.format(NEW), answer)) == outcome


@pytest.mark.parametrize(
    ("output_format", "query"),
    [(None, ""), ("png", "&contentType=image%2Fpng"), ("jpg", "&contentType=image%2Fjpeg"),
     ("webp", "&contentType=image%2Fwebp")],
)  # fmt: skip
def test_the_format_of_a_result_is_the_one_the_caller_asked_for(output_format: str | None, query: str) -> None:
    """projects-4.2 §10.4: not the defaulted one that went over the wire."""
    stage = Stage()
    job = stage.finished_job(result_url=None)
    job.project.params = ImageProjectParams(model_id="m", output_format=output_format)  # type: ignore[arg-type]
    assert stage.play(result_url(job), (f"{SIGN}{query}", ok({"downloadUrl": NEW}))) == NEW


def test_an_answer_without_a_result_address_cannot_be_read() -> None:
    """projects-4.2 §8, rule 14."""
    stage = Stage()
    stage.fail(ProtocolError, result_url(stage.finished_job(result_url=None)), (SIGN, ok({"uploadUrl": NEW})))


@each_way
def test_the_end_of_the_client_is_no_refusal(fetch: Any, step: str, answer: Any, outcome: Any) -> None:
    stage = Stage()
    error = ClientClosedError("closed")
    stage.fail(ClientClosedError, fetch(stage.finished_job()), (step.format(OLD), refused(403)), (SIGN, error))


@each_way
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "failed", "result_url": None}, "unavailable: the job is failed"),
        ({"is_nsfw": True}, "withheld by the content filter"),
    ],
)
def test_a_job_without_result_has_nothing_to_fetch(
    fetch: Any, step: str, answer: Any, outcome: Any, changes: dict[str, Any], why: str
) -> None:
    stage = Stage()
    job = stage.finished_job(**changes)
    handle = job.user_object = Stage()
    error = stage.fail(JobError, fetch(job))
    assert (error.message, error.job) == (f"the result of job {JOB} is {why}", handle)


def test_a_known_address_is_not_asked_for() -> None:
    stage = Stage()
    assert stage.play(result_url(stage.finished_job())) == OLD


def test_an_address_once_asked_for_is_kept() -> None:
    stage = Stage()
    job = stage.finished_job(result_url=None)
    assert stage.play(result_url(job), FRESH) == NEW
    assert stage.play(result_url(job)) == NEW


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "processing"}, f"job {JOB} is processing; only a completed one has a result"),
        ({"is_nsfw": True}, f"the result of job {JOB} is withheld by the content filter"),
    ],
)
def test_no_address_is_asked_for_where_there_is_no_result(changes: dict[str, Any], message: str) -> None:
    stage = Stage()
    assert stage.fail(JobError, result_url(stage.finished_job(result_url=None, **changes))).message == message


def test_a_project_saves_every_result_in_job_order_and_keeps_its_places() -> None:
    stage = Stage()
    project = stage.project()
    for number in range(6):
        stage.finished_job(project, f"B{number}", result_url=f"https://store/{number}")
    project.jobs["B1"].change(status="failed", result_url=None)
    steps = [(f"save https://store/{number}", Path(f"{number}.png")) for number in (0, 2, 3, 4, 5)]
    places: list[int] = []

    def name(place: int, job: Any) -> Any:
        places.append(place)
        return path_for

    paths = stage.play(save_project(project.job_list(), name), *steps)
    assert [path.name for path in paths] == ["0.png", "2.png", "3.png", "4.png", "5.png"]
    assert places == [0, 2, 3, 4, 5]


def test_a_project_without_results_saves_nothing() -> None:
    assert Stage().play(save_project([], lambda place, job: path_for)) == []


def test_nothing_to_upload_asks_for_nothing() -> None:
    Stage().play(upload_media(PROJECT, [[]]))


def test_addresses_are_written_in_their_order() -> None:
    asked: list[int] = []

    def path_of(place: int) -> Any:
        asked.append(place)
        return path_for

    flow = save_urls([OLD, NEW], path_of)
    assert Stage().play(flow, (f"save {OLD}", FILE), (f"save {NEW}", FILE)) == [FILE, FILE]
    assert asked == [0, 1]
    Stage().fail(NotFoundError, save_urls([OLD], path_of), (f"save {OLD}", refused(404)))


class Shelf:
    """A storage that remembers what it stored."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stored: list[tuple[str, str, bool]] = []

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        yield self.directory

    def put(self, file: Path, name: str, *, overwrite: bool) -> str:
        self.stored.append((file.name, name, overwrite))
        return f"shelf://{name}"

    def next_number(self) -> int:
        return 0


def test_a_result_is_stored_once_its_download_is_complete(tmp_path: Path) -> None:
    stage, shelf = Stage(), Shelf(tmp_path)
    flow = save_project([stage.finished_job()], paths_in(shelf, "kite"), overwrite=True)
    assert stage.play(flow, (f"save {OLD}", tmp_path / "result.png")) == ["shelf://kite.png"]
    assert shelf.stored == [("result.png", "kite.png", True)]


def test_a_refused_download_stores_nothing(tmp_path: Path) -> None:
    stage, shelf = Stage(), Shelf(tmp_path)
    steps = [(f"save {OLD}", refused(403)), FRESH, (f"save {NEW}", refused(403))]
    stage.fail(PermissionDeniedError, save_project([stage.finished_job()], paths_in(shelf, "kite")), *steps)
    assert shelf.stored == []


# -- the last frame of a video -----------------------------------------------------

FRAME = f"GET rest/v1/media/downloadUrl?jobId={PROJECT}&id={JOB}&type=complete&artifact=lastFrame"


def film(stage: Stage, **changes: Any) -> Any:
    job = stage.finished_job(**changes)
    job.project.kind = "video"
    return job


def test_a_known_last_frame_is_not_asked_for() -> None:
    stage = Stage()
    assert stage.play(last_frame_url(film(stage, last_frame_url="u"))) == "u"


def test_a_last_frame_is_asked_for_once() -> None:
    stage = Stage()
    job = film(stage)
    assert stage.play(last_frame_url(job), (FRAME, ok({"downloadUrl": NEW}))) == NEW
    assert stage.play(last_frame_url(job)) == NEW


def test_a_video_that_has_none_says_so() -> None:
    stage = Stage()
    stage.fail(NotFoundError, last_frame_url(film(stage)), (FRAME, refused(404)))


def test_only_a_video_that_is_there_has_a_last_frame() -> None:
    stage = Stage()
    for job, why in (
        (stage.finished_job(), "a completed image"),
        (film(stage, status="failed"), "a failed video"),
        (film(stage, is_nsfw=True), "withheld by the content filter"),
    ):
        assert stage.fail(JobError, last_frame_url(job)).message == f"job {JOB} has no last frame: it is {why}"


def test_a_preview_is_fetched_from_its_url() -> None:
    stage = Stage()
    job = stage.finished_job()
    with pytest.raises(JobError, match="has no preview"):
        stage.play(preview_data(job))
    job.change(preview_url=OLD)
    assert stage.play(preview_data(job), (f"GET {OLD}", HttpReply(status=200, body=b"image"))) == b"image"
    with pytest.raises(PermissionDeniedError):
        stage.play(preview_data(job), (f"GET {OLD}", refused(403)))
