"""The public side of projects and jobs: properties, listeners, copies."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from sogni.base import BaseJob, BaseProject, host_of
from sogni.core.outbox import Listeners, Outbox
from sogni.core.projects.project import ProjectState
from sogni.emitter import EventEmitter
from sogni.errors import ClientClosedError
from sogni.models.params import ControlNetParams, ImageProjectParams
from sogni.models.projects import ErrorData, EtaRange

URL = "https://h/r?X-Amz-Signature=s"


def project_of(media: int = 2, **fields: Any) -> BaseProject:
    params = ImageProjectParams(model_id="m", number_of_media=media, **fields)
    state = ProjectState("P", params, Outbox(), now=100.0, kind="image", listening=[])
    return BaseProject(None, state)


def at_work() -> BaseProject:
    """One job is done, one runs, one failed."""
    project = project_of(4, steps=4, starting_image=b"png", control_net=ControlNetParams(name="canny", image=b"png"))
    state = project._state
    state.queued({"queuePosition": 3}, 101)
    state.job_result(
        {"imgID": "A", "resultUrl": URL, "lastSeed": "7", "triggeredNSFWFilter": True, "nsfwDetected": True}, 102
    )
    state.job_begins(
        {"imgID": "B", "workerName": "w", "jobIndex": 1, "positivePrompt": "p", "negativePrompt": "n"},
        103,
        started=True,
    )
    state.job_progressed({"imgID": "B", "step": 1, "etaMin": 1, "etaMax": 5}, 104)
    state.job_eta({"imgID": "B", "etaSeconds": 10}, 105)
    state.previewed(state.jobs["B"], "https://p", 105)
    state.job_failed({"imgID": "C", "error": 5, "error_message": "m"}, 106)
    return project  # fmt: skip


# --- properties


def test_the_properties_of_a_project() -> None:
    project = at_work()
    assert (
        project.id,
        project.type,
        project.status,
        project.finished,
        project.error,
        project.queue_position,
    ) == ("P", "image", "processing", False, None, 3)
    assert (
        project.progress,
        project.result_urls,
        [job.id for job in project.jobs],
        [job.id for job in project.failed_jobs],
    ) == (31, [URL], ["A", "B", "C"], ["C"])
    assert (datetime.fromtimestamp(115, UTC), datetime.fromtimestamp(100, UTC), "m") == (
        project.eta,
        project.started_at,
        project.params.model_id,
    )
    assert repr(project) == "<Project P processing 31%>"
    assert project_of().eta is None


def test_the_properties_of_a_job() -> None:
    job = at_work().jobs[1]
    assert (
        job.id, job.project_id, job.status, job.finished, job.progress, job.step, job.step_count, job.seed,
        job.worker_name, job.job_index, job.positive_prompt, job.negative_prompt, job.type, job.error,
    ) == ("B", "P", "processing", False, 25, 1, 4, None, "w", 1, "p", "n", "image", None)  # fmt: skip
    assert ("https://p", None, "https://p", datetime.fromtimestamp(115, UTC), 10, EtaRange(min=1, max=5)) == (
        job.preview_url, job.result_url, job.image_url, job.eta, job.eta_seconds, job.eta_range,
    )  # fmt: skip
    assert repr(job) == "<Job B processing 25%>"


def test_the_properties_of_a_finished_job() -> None:
    job = at_work().jobs[0]
    assert (
        job.finished, job.seed, job.result_url, job.image_url, job.has_result_media, job.is_nsfw, job.nsfw_detected,
        job.user_canceled,
    ) == (True, 7, URL, URL, True, True, True, False)  # fmt: skip


def test_finished_means_that_every_result_is_there() -> None:
    project = project_of(1)
    project._state.completed(1)
    assert (project.status, project.finished) == ("completed", False)
    project._state.job_result({"imgID": "A", "resultUrl": URL}, 2)
    assert project.finished


def test_a_job_is_the_same_handle_every_time() -> None:
    project = at_work()
    assert project.jobs[0] is project.jobs[0]
    assert project.job("a") is project.jobs[0] is project.job("A")
    assert project.job("nobody") is None


def test_a_job_with_an_id_in_lower_case_is_found() -> None:
    project = project_of()
    project._state.job_begins({"imgID": "abc"}, 1, started=True)
    assert project.job("abc") is project.jobs[0]


def test_an_attached_project_makes_new_handles_of_its_jobs() -> None:
    project = at_work()
    before = project.jobs[0]
    engine = object()
    project._attached(engine, project._state)
    assert (engine, project) == (project._engine, project._state.user_object)
    after = project.jobs[0]
    assert after is not before
    assert after == before
    project._attached(engine, project._state)
    assert project.jobs[0] is after


@pytest.mark.parametrize("listening", [False, True])
def test_a_project_that_is_tracked_already_goes_on_under_that_state(listening: bool) -> None:
    copy, tracked = at_work(), at_work()
    heard: list[Any] = []
    if listening:
        copy.on("completed", heard.append)
    copy._attached(tracked._engine, tracked._state)
    assert (copy._state is tracked._state, tracked._state.user_object) == (True, tracked)
    assert tracked._state.listeners.take("completed") == ([heard.append] if listening else [])
    assert bool(tracked._state.listening) is listening


# --- equality


def test_handles_are_equal_by_id() -> None:
    project, twin = at_work(), at_work()
    assert (project, hash(project)) == (twin, hash(twin))
    assert (project.jobs[0], hash(project.jobs[0])) == (twin.jobs[0], hash(twin.jobs[0]))
    assert project.jobs[0] != project.jobs[1]
    assert project != "P"
    assert project.jobs[0] != "A"


def test_a_job_keeps_its_hash_when_it_runs_again_under_another_id() -> None:
    """projects-5x §12: so that it is still found in a set."""
    project = at_work()
    job = project.jobs[1]
    found = {job}
    project._state.job_retried({"imgID": "B", "jobIndex": 1}, 107)
    project._state.job_begins({"imgID": "D", "jobIndex": 1}, 108, started=True)
    assert (job.id, job in found) == ("D", True)


# --- copies


def test_the_dict_is_json_ready_and_without_media() -> None:
    made = json.loads(json.dumps(at_work().to_dict()))
    assert (
        made["id"],
        made["status"],
        made["progress"],
        made["resultUrls"],
        made["startedAt"],
        made["queuePosition"],
    ) == ("P", "processing", 31, [URL], "1970-01-01T00:01:40Z", 3)
    assert {"type": "image", "modelId": "m", "controlNet": {"name": "canny"}}.items() <= made["params"].items()
    assert "startingImage" not in made["params"]
    assert [(job["id"], job["progress"], job["type"]) for job in made["jobs"]] == [
        ("A", 100, "image"),
        ("B", 25, "image"),
        ("C", 0, "image"),
    ]
    assert {"jobIndex": 1, "workerName": "w", "previewUrl": "https://p", "isNSFW": False}.items() <= made["jobs"][
        1
    ].items()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_project_pickles_to_a_detached_equal_one(protocol: int) -> None:
    project = at_work()
    copy = pickle.loads(pickle.dumps(project, protocol))
    assert (project, project.to_dict()) == (copy, copy.to_dict())
    assert copy is copy._state.user_object
    with pytest.raises(ClientClosedError, match=r"project P is detached.*projects\.attach"):
        host_of(copy._engine, copy._state)


def test_a_job_pickles_with_its_project() -> None:
    job = at_work().jobs[2]
    copy = pickle.loads(pickle.dumps(job))
    assert (job, job.to_dict(), ErrorData(code=5, message="m")) == (copy, copy.to_dict(), copy.error)


@pytest.mark.parametrize(
    ("end", "finished"), [("completed", True), ("failed", True), ("canceled", True), ("signing", False), (None, False)]
)
def test_what_was_finished_stays_so(end: str | None, finished: bool) -> None:
    project = project_of(1)
    state = project._state
    match end:
        case "completed":
            state.job_result({"imgID": "A", "resultUrl": URL}, 1)
            state.completed(2)
        case "failed":
            state.fail(ErrorData(code=5), 2)
        case "canceled":
            state.cancel(2)
        case "signing":
            state.job_result({"imgID": "A"}, 1)
            state.completed(2)
    copy = pickle.loads(pickle.dumps(project))
    assert (finished, project.error, project.status) == (copy.finished, copy.error, copy.status)


# --- belonging to a client


class Owner:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def check_owner(self, state: Any) -> None:
        self.asked.append(state)


def test_a_handle_asks_its_client_whether_it_is_its_own() -> None:
    owner, state = Owner(), project_of()._state
    assert owner is host_of(owner, state)
    assert [state] == owner.asked


# --- on, once, off


def test_on_returns_what_removes_it() -> None:
    project = project_of()
    calls: list[Any] = []
    remove = project.on("progress", calls.append)
    assert project._state.listeners.has("progress")
    remove()
    assert not project._state.listeners.has("progress")


def test_on_and_once_are_decorators_too() -> None:
    project = project_of()

    @project.on("progress")
    def always(value: int) -> None: ...

    @project.once("progress")
    def next_time(value: int) -> None: ...

    assert [[always, next_time], [always]] == [project._state.listeners.take("progress") for _ in range(2)]
    project.off("progress", always)
    assert project._state.listeners.take("progress") == []


def test_off_of_what_was_not_registered_does_nothing() -> None:
    project_of().off("progress", print)


@pytest.mark.parametrize("method", ["on", "once", "off"])
def test_unknown_events_are_refused_with_the_known_ones(method: str) -> None:
    project = at_work()
    with pytest.raises(
        ValueError, match="BaseProject has no event 'preview'; it has canceled, completed, failed, job_"
    ):
        getattr(project, method)("preview", print)
    with pytest.raises(
        ValueError, match="BaseJob has no event 'canceled'; it has completed, failed, preview, progress"
    ):
        getattr(project.jobs[0], method)("canceled", print)
    with pytest.raises(ValueError, match="has no event 'nonsense'"):
        project.on("nonsense")


@pytest.mark.parametrize("which", ["project", "job"])
def test_the_first_listener_is_noted_for_the_client(which: str) -> None:
    project = at_work()
    emitter: EventEmitter = project if which == "project" else project.jobs[0]
    emitter.on("progress", print)
    emitter.on("progress", print)
    assert project._state.listening == [True]


def test_other_emitters_need_not_note_it() -> None:
    class Emitter(EventEmitter):
        _events = frozenset({"a"})
        registry = Listeners()

        def _listeners(self) -> Listeners:
            return self.registry

    Emitter().on("a", print)
    assert [print] == Emitter.registry.take("a")


def test_a_job_of_another_package_has_its_own_class() -> None:
    class OtherJob(BaseJob):
        pass

    class OtherProject(BaseProject):
        _job_class = OtherJob

    assert OtherJob is type(OtherProject(None, at_work()._state).jobs[0])
