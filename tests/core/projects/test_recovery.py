"""Recovery of tracked projects after a lost connection, and repeated requests (transport §13, projects-5x §9, §11)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core import outbox
from sogni.core.background import flow_of
from sogni.core.flow import Flow
from sogni.core.projects import recovery
from sogni.core.projects.recovery import check_liveness, check_overrun, give_up, resend
from sogni.core.projects.registry import Synchronization
from sogni.errors import ClientClosedError, SogniConnectionError, SogniTimeoutError
from sogni.models.projects import ErrorData, JobRecord, ProjectRecord, RecordModel, Snapshot
from tests.core.play import JOB, MODEL, PROJECT, STOP, TIMEOUT, Stage, bare, ok, refused

OTHER = PROJECT[:-1] + "2"
THIRD = PROJECT[:-1] + "3"
SYNC = "GET socket/api/v1/artist/projects/sync?appId=app-1"
ACTIVE = "GET socket/api/v1/artist/projects/active"
NOBODY = (ACTIVE, bare({"projects": []}))
PAUSE = ("pause 2.5 ±20%", None)
NEXT = "until the next connection (connect, 60 s)"
SENT = ("frame jobRequest", None)


def record_of(project_id: str = PROJECT) -> str:
    return f"GET rest/v1/projects/{project_id}"


def live(project_id: str = PROJECT) -> str:
    return f"GET rest/v2/projects/{project_id}"


def unknown(project_id: str = PROJECT) -> tuple[str, Any]:
    return record_of(project_id), refused(404)


def known(status: str = "completed", project_id: str = PROJECT, **fields: Any) -> Any:
    return ok({"project": {"id": project_id, "status": status, **fields}})


def active(*records: ProjectRecord) -> Snapshot:
    return Snapshot(active_projects=list(records))


def held(*records: ProjectRecord) -> Snapshot:
    return Snapshot(unclaimed_completed_projects=list(records))


def running(project_id: str = PROJECT, **fields: Any) -> ProjectRecord:
    return ProjectRecord(**{"id": project_id, "status": "progress", **fields})


def reconcile(snapshot: Snapshot | None) -> Flow[None]:
    return recovery.reconcile(snapshot, Synchronization("authenticated"))


def resolve_missing(project_ids: list[str], number: int) -> Flow[None]:
    return recovery.resolve_missing(project_ids, Synchronization("recheck"), number)


def reconciled(stage: Stage, snapshot: Snapshot | None) -> Flow[None]:
    """A reconciliation and the work that it begins, one after the other."""
    yield from reconcile(snapshot)
    for task in stage.begun:
        yield from flow_of(task)


LOST_TRIES = [unknown(), PAUSE, unknown(), PAUSE, unknown(), PAUSE, unknown()]


@pytest.fixture
def stage() -> Stage:
    return Stage().connects()


def old_project(stage: Stage, project_id: str = PROJECT, **params: Any) -> Any:
    """A project that was acknowledged a while ago."""
    project = stage.project(project_id, **params)
    project.touch(stage.now)
    stage.passes(60)
    return project


# -- the snapshot ------------------------------------------------------------------


def test_an_active_project_catches_up_by_the_frames_it_missed(stage: Stage) -> None:
    project = old_project(stage, number_of_media=2)
    jobs = [
        JobRecord(img_id=JOB.lower(), status="jobCompleted", result_url="https://store/1", seed_used=7),
        JobRecord(img_id="B2", status="jobProgress", performed_steps=3),
    ]
    snapshot = active(running(PROJECT.lower(), worker_jobs=jobs[1:], completed_worker_jobs=jobs[:1], step_count=5))
    stage.play(reconciled(stage, snapshot))
    assert (project.status, project.result_urls) == ("processing", ["https://store/1"])
    assert (project.jobs["B2"].step, project.jobs["B2"].step_count) == (3, 5)


def test_a_snapshot_acknowledges_a_request(stage: Stage) -> None:
    project = stage.project()
    stage.play(reconciled(stage, active(running(status="queued"))))
    assert (project.request, project.status) == (None, "queued")


def test_a_settled_project_is_not_reopened(stage: Stage) -> None:
    project = old_project(stage)
    project.cancel(stage.now)
    stage.play(reconciled(stage, active(running(status="queued"))))
    assert project.status == "canceled"


def test_projects_nobody_tracked_here_are_recovered(stage: Stage) -> None:
    done = JobRecord(img_id=JOB, status="jobCompleted", result_url="u")
    snapshot = Snapshot(
        active_projects=[running(image_count=3, app_id="app-1", model=RecordModel(id=MODEL))],
        unclaimed_completed_projects=[
            ProjectRecord(id=OTHER.lower(), status="completed", completed_worker_jobs=[done]),
        ],
    )
    stage.play(reconciled(stage, snapshot))
    first, second = stage.state.projects.tracked()
    assert (first.id, first.recovered, first.number_of_media, first.settled) == (PROJECT, True, 3, False)
    assert (second.id, second.recovered, second.result_urls, second.settled) == (OTHER, True, ["u"], True)


def test_a_held_project_ends_here_too(stage: Stage) -> None:
    project = old_project(stage)
    sign = f"GET rest/v1/image/downloadUrl?jobId={PROJECT}&imageId={JOB}&type=complete"
    record = ProjectRecord(
        id=PROJECT, status="completed", completed_worker_jobs=[JobRecord(img_id=JOB, status="jobCompleted")]
    )
    stage.play(reconciled(stage, held(record)), (sign, ok({"downloadUrl": "u"})))
    assert (project.status, project.result_urls) == ("completed", ["u"])


def test_a_held_failure_says_why(stage: Stage) -> None:
    project = old_project(stage)
    failed = JobRecord(img_id=JOB, status="jobError", reason="jobTimedOut")
    stage.play(reconciled(stage, held(ProjectRecord(id=PROJECT, status="errored", completed_worker_jobs=[failed]))))
    expected = ErrorData(code=5003, original_code="jobTimedOut", message="jobTimedOut")
    assert (project.status, project.error, project.jobs[JOB].error) == ("failed", expected, expected)


def test_of_repeated_entries_the_first_counts_and_active_outranks_held(stage: Stage) -> None:
    project = old_project(stage)
    snapshot = Snapshot(
        active_projects=[running(status="queued"), running(status="errored")],
        unclaimed_completed_projects=[running(status="completed")],
    )
    stage.play(reconciled(stage, snapshot))
    assert project.status == "queued"


def test_chats_are_no_projects(stage: Stage) -> None:
    snapshot = Snapshot(
        active_projects=[running(job_type="llm")],
        unclaimed_completed_projects=[running(OTHER, model=RecordModel(type="llm"))],
    )
    stage.play(reconciled(stage, snapshot))
    assert stage.state.projects.tracked() == []


def test_without_a_snapshot_one_is_asked_for_this_app_id(stage: Stage) -> None:
    project = old_project(stage)
    answer = bare({"activeProjects": [{"id": PROJECT, "status": "active"}], "unclaimedCompletedProjects": []})
    stage.play(reconciled(stage, None), (SYNC, answer))
    assert project.status == "queued"


@pytest.mark.parametrize("answer", [refused(404), bare([1])])
def test_a_snapshot_that_cannot_be_had_changes_nothing(stage: Stage, answer: Any) -> None:
    project = old_project(stage)
    stage.play(reconciled(stage, None), (SYNC, answer))
    assert not project.ended


# -- one at a time -----------------------------------------------------------------


def test_the_next_reconciliation_begins_when_one_is_over(stage: Stage) -> None:
    stage.project()
    for _ in range(3):
        stage.receives("authenticated", {})
    first, *more = [task for task in stage.begun if task != outbox.FetchSubscription()]
    assert (first.snapshot, more) == (Snapshot(), [])
    stage.play(reconcile(active(running())))
    assert [task.snapshot for task in stage.begun] == [Snapshot()]
    stage.play(reconcile(active(running())))
    assert stage.begun == []


def test_a_reconciliation_that_fails_lets_the_next_one_begin(stage: Stage) -> None:
    old_project(stage)
    stage.receives("authenticated", {}).receives("authenticated", {})
    stage.begun
    stage.fail(ValueError, reconcile(None), (SYNC, ValueError("a mistake of ours")))
    look_up, following = stage.begun
    assert (look_up.project_ids, following.snapshot) == ((PROJECT,), Snapshot())


def test_the_next_snapshot_does_not_wait_for_a_young_project(stage: Stage) -> None:
    """It may hold finished results."""
    old_project(stage)
    stage.project(OTHER)
    stage.receives("authenticated", {}).receives("authenticated", {})
    stage.begun
    stage.play(reconcile(Snapshot()))
    old, young, following = stage.begun
    assert old == outbox.LookUp((PROJECT,), old.sync, 1)
    assert young == outbox.LookUp((OTHER,), young.sync, 1, stage.now + 5, stage.now)
    assert following.snapshot == Snapshot()


def test_a_newer_snapshot_ends_the_lookups_for_an_older_one(stage: Stage) -> None:
    old_project(stage)
    stage.play(reconcile(Snapshot()))
    (look_up,) = stage.begun

    def another_snapshot(stage: Stage) -> None:
        stage.play_inside(reconcile(active(running())))

    stage.play(flow_of(look_up), unknown(), ("pause 2.5 ±20%", another_snapshot))


def test_a_record_that_cannot_be_applied_concerns_its_own_project_only(stage: Stage) -> None:
    broken, fine = old_project(stage), old_project(stage, OTHER)
    snapshot = active(running(worker_jobs=[JobRecord(img_id=JOB, status="jobStarted", worker=7)]), running(OTHER))
    stage.fail(AttributeError, reconcile(snapshot))
    assert (broken.status, fine.status) == ("failed", "pending")
    assert broken.error.message.startswith("resynchronizing the project failed: AttributeError: ")


def test_of_many_records_and_lookups_each_one_may_die(stage: Stage) -> None:
    mistake = ValueError("a mistake of ours")
    first, second = old_project(stage), old_project(stage, OTHER)
    stage.play(reconcile(Snapshot()))
    (look_up,) = stage.begun
    stage.fail(ValueError, flow_of(look_up), (record_of(), mistake), (record_of(OTHER), known(project_id=OTHER)))
    assert (first.status, second.status) == ("failed", "completed")

    stage.play(reconcile(held(running(THIRD, completed_worker_jobs=[7]), running("D4", status="completed"))))
    (recover,) = stage.begun
    stage.fail(AttributeError, flow_of(recover))
    assert [stage.state.projects.by_id[project_id].status for project_id in (THIRD, "D4")] == ["failed", "completed"]


# -- projects the snapshot does not mention ----------------------------------------


def test_a_missing_project_may_be_finished(stage: Stage) -> None:
    project = old_project(stage)
    job = {"imgID": JOB, "status": "jobCompleted", "resultUrl": "u"}
    stage.play(reconciled(stage, Snapshot()), (record_of(), known(completedWorkerJobs=[job])))
    assert (project.status, project.result_urls) == ("completed", ["u"])


@pytest.mark.parametrize(("status", "expected"), [("errored", "failed"), ("cancelled", "canceled")])
def test_a_missing_project_may_have_ended_without_results(stage: Stage, status: str, expected: str) -> None:
    project = old_project(stage)
    stage.play(reconciled(stage, Snapshot()), (record_of(), known(status)))
    assert project.status == expected


def test_many_missing_projects_are_looked_up_in_the_same_rounds(stage: Stage) -> None:
    """Whoever waits for the last of them would otherwise wait for the pauses of all."""
    gone, done, other = old_project(stage), old_project(stage, OTHER), old_project(stage, THIRD)
    stage.play(
        reconciled(stage, Snapshot()),
        unknown(),
        unknown(OTHER),
        (record_of(THIRD), known(project_id=THIRD)),
        PAUSE,
        unknown(),
        (record_of(OTHER), known(project_id=OTHER)),
        PAUSE,
        unknown(),
        PAUSE,
        unknown(),
        NOBODY,
        (live(), refused(404)),
    )
    assert [project.status for project in (gone, done, other)] == ["failed", "completed", "completed"]


def test_results_somebody_may_wait_for_come_before_those_of_an_earlier_process(stage: Stage) -> None:
    mine, missing = old_project(stage), old_project(stage, OTHER)
    jobs = [JobRecord(img_id=JOB, status="jobCompleted")]
    records = [
        ProjectRecord(id=project_id, status="completed", image_count=1, completed_worker_jobs=jobs)
        for project_id in (THIRD, PROJECT)
    ]
    url = ok({"downloadUrl": "https://store/1"})
    address = "GET rest/v1/image/downloadUrl?jobId={}&imageId={}&type=complete".format
    stage.play(
        reconciled(stage, held(*records)),
        (address(PROJECT, JOB), url),
        (record_of(OTHER), known(project_id=OTHER)),
        (address(THIRD, JOB), url),
    )
    assert [project.settled for project in (mine, missing, stage.state.projects.by_id[THIRD])] == [True] * 3


def test_a_project_unknown_to_every_source_is_lost(stage: Stage) -> None:
    project = old_project(stage)
    stage.play(reconciled(stage, Snapshot()), *LOST_TRIES, NOBODY, (live(), refused(404)))
    assert (project.status, project.error.code, project.error.original_code) == ("failed", 0, "projectLost")


@pytest.mark.parametrize(
    "end",
    [
        [(ACTIVE, bare({"projects": [{"id": PROJECT.lower()}, "what"]}))],
        [NOBODY, (live(), known("processing"))],
    ],
)
def test_a_project_that_is_alive_goes_on(stage: Stage, end: list[Any]) -> None:
    project = old_project(stage)
    stage.passes(10)
    stage.play(reconciled(stage, Snapshot()), *LOST_TRIES, *end)
    assert (project.ended, project.last_frame_at) == (False, stage.now)


@pytest.mark.parametrize(("status", "expected"), [("failed", "failed"), ("canceled", "canceled")])
def test_the_live_view_knows_how_a_project_ended(stage: Stage, status: str, expected: str) -> None:
    project = old_project(stage)
    stage.play(reconciled(stage, Snapshot()), *LOST_TRIES, NOBODY, (live(), known(status)))
    assert project.status == expected


@pytest.mark.parametrize(
    "end",
    [
        [(ACTIVE, refused(404))],
        [(ACTIVE, refused(403))],
        [(ACTIVE, bare({"projects": None}))],
        [(ACTIVE, bare([]))],
        [NOBODY, (live(), refused(403))],
        [NOBODY, (live(), ok([]))],
    ],
)
def test_what_cannot_be_found_out_changes_nothing(stage: Stage, end: list[Any]) -> None:
    project = old_project(stage)
    stage.play(reconciled(stage, Snapshot()), *LOST_TRIES, *end)
    assert not project.ended


def test_only_a_404_is_looked_up_again(stage: Stage) -> None:
    project = old_project(stage)
    stage.play(reconciled(stage, Snapshot()), (record_of(), refused(403)))
    assert not project.ended


@pytest.mark.parametrize("gone", [True, False])
def test_a_project_that_ends_meanwhile_is_not_looked_up_again(stage: Stage, gone: bool) -> None:
    project = old_project(stage)

    def meanwhile(stage: Stage) -> None:
        project.cancel(stage.now)
        if gone:
            stage.state.projects.by_id.clear()

    stage.play(reconciled(stage, Snapshot()), unknown(), ("pause 2.5 ±20%", meanwhile))
    assert project.status == "canceled"


def test_a_project_that_is_forgotten_meanwhile_is_not_lost(stage: Stage) -> None:
    project = old_project(stage)

    def meanwhile(stage: Stage) -> Any:
        project.cancel(stage.now)
        return refused(404)

    stage.play(reconciled(stage, Snapshot()), *LOST_TRIES, NOBODY, (live(), meanwhile))
    assert project.status == "canceled"


def test_a_project_forgotten_by_the_end_of_the_lookup_is_alive_for_nobody(stage: Stage) -> None:
    old_project(stage)

    def meanwhile(stage: Stage) -> Any:
        stage.state.projects.by_id.clear()
        return known("processing")

    stage.play(reconciled(stage, Snapshot()), *LOST_TRIES, NOBODY, (live(), meanwhile))


def test_polled_and_abandoned_projects_and_those_being_sent_are_not_missed(stage: Stage) -> None:
    for number, name in enumerate(("polled", "abandoned", "being_sent")):
        setattr(old_project(stage, f"{PROJECT}{number}"), name, True)
    stage.play(reconciled(stage, Snapshot()))


# -- too new to judge --------------------------------------------------------------


def test_a_project_too_new_for_the_snapshot_is_looked_up_later(stage: Stage) -> None:
    project = stage.project()
    stage.passes(2)
    stage.play(
        reconciled(stage, Snapshot()), ("pause 3.25", lambda stage: stage.passes(3.25) and None), (record_of(), known())
    )
    assert project.status == "completed"


def test_young_projects_wait_for_the_youngest_and_old_ones_for_nobody(stage: Stage) -> None:
    old_project(stage)
    stage.project(OTHER)
    stage.passes(1).project(THIRD)
    stage.passes(1)
    stage.play(
        reconciled(stage, Snapshot()),
        (record_of(), lambda stage: stage.passes(1) and known()),
        ("pause 3.25", None),
        (record_of(OTHER), known(project_id=OTHER)),
        (record_of(THIRD), known(project_id=THIRD)),
    )


def test_a_lookup_that_takes_long_enough_is_waiting_enough(stage: Stage) -> None:
    old_project(stage)
    stage.project(OTHER)
    stage.play(
        reconciled(stage, Snapshot()),
        (record_of(), lambda stage: stage.passes(30) and known()),
        ("pause 0.25", None),
        (record_of(OTHER), known(project_id=OTHER)),
    )


def test_a_young_project_that_speaks_is_not_looked_up(stage: Stage) -> None:
    stage.project()

    def speaks(stage: Stage) -> None:
        stage.passes(5).receives("jobState", {"jobID": PROJECT, "type": "queued"})

    stage.play(reconciled(stage, Snapshot()), ("pause 5.25", speaks))


def test_a_young_project_that_spoke_before_the_snapshot_only_is_looked_up(stage: Stage) -> None:
    project = stage.project()
    stage.receives("jobState", {"jobID": PROJECT, "type": "queued"})
    stage.passes(1)
    stage.play(reconciled(stage, Snapshot()), ("pause 4.25", None), (record_of(), known()))
    assert project.status == "completed"


# -- sent again --------------------------------------------------------------------


def test_a_request_nobody_heard_of_is_sent_again_once(stage: Stage) -> None:
    project = stage.project()
    stage.passes(60).reconnects()
    nobody = [NOBODY, (live(), refused(404))]
    stage.play(reconciled(stage, Snapshot()), *nobody, SENT)
    assert stage.frames == [("jobRequest", {"jobID": PROJECT})]
    assert (project.resent, project.sent_generation, project.sent_at) == (True, 2, stage.now)
    stage.passes(60).reconnects()
    stage.play(reconciled(stage, Snapshot()), *LOST_TRIES, *nobody)
    assert (project.error.original_code, len(stage.frames)) == ("projectLost", 1)


@pytest.mark.parametrize(
    "answers",
    [
        [(ACTIVE, refused(403))],
        [(ACTIVE, bare({}))],
        [NOBODY, (live(), refused(403))],
        [(ACTIVE, bare({"projects": [{"id": PROJECT}]}))],
        [NOBODY, (live(), known("queued"))],
        [NOBODY, (live(), known("failed"))],
    ],
)
def test_a_request_somebody_may_have_heard_of_is_not_sent_again(stage: Stage, answers: list[Any]) -> None:
    stage.project()
    stage.passes(60).reconnects()
    stage.play(reconciled(stage, Snapshot()), *answers)
    assert stage.frames == []


def test_a_request_of_this_connection_is_not_sent_again(stage: Stage) -> None:
    stage.project()
    stage.passes(60).play(resolve_missing([PROJECT], 0), (record_of(), known()))


def test_an_acknowledged_request_is_not_sent_again(stage: Stage) -> None:
    old_project(stage)
    stage.reconnects().play(resolve_missing([PROJECT], 0), (record_of(), known()))


def test_a_request_acknowledged_while_asking_is_not_sent_again(stage: Stage) -> None:
    stage.project()
    stage.passes(60).reconnects()

    def late_answer(stage: Stage) -> Any:
        stage.receives("jobState", {"jobID": PROJECT, "type": "queued"})
        return refused(404)

    stage.play(resolve_missing([PROJECT], 0), NOBODY, (live(), late_answer))


def refuses(stage: Stage, project_id: str = PROJECT) -> None:
    stage.receives("jobError", {"jobID": project_id, "error": "1001", "error_message": "restarting"})


def test_a_request_refused_by_a_restart_is_sent_again_on_the_next_connection(stage: Stage) -> None:
    project = stage.project()
    refuses(stage)
    assert (stage.begun, project.ended) == ([outbox.Resend(PROJECT)], False)

    def comes_back(stage: Stage) -> None:
        assert project.being_sent
        stage.reconnects()

    stage.play(resend(PROJECT), (NEXT, comes_back), SENT)
    assert (project.being_sent, project.sent_generation) == (False, 2)
    refuses(stage)
    assert (project.status, project.error.code, project.error.message) == ("failed", 1001, "restarting")


@pytest.mark.parametrize(
    "script",
    [
        [(NEXT, TIMEOUT)],
        [(NEXT, Stage.reconnects), ("frame jobRequest", SogniTimeoutError("slow"))],
    ],
)
def test_a_service_that_does_not_come_back_fails_the_project(stage: Stage, script: list[Any]) -> None:
    project = stage.project()
    refuses(stage)
    stage.play(resend(PROJECT), *script)
    assert (project.status, project.error.code, project.being_sent) == ("failed", 1001, False)


def test_the_end_of_the_client_fails_no_project(stage: Stage) -> None:
    project = stage.project()
    stage.fail(ClientClosedError, resend(PROJECT), (NEXT, ClientClosedError("closed")))
    stage.fail(ClientClosedError, give_up(PROJECT, "x"), ("frame jobError", ClientClosedError("closed")))
    assert (project.ended, project.being_sent) == (False, False)


def test_an_interrupted_resend_lets_go_of_the_request(stage: Stage) -> None:
    project = stage.project()
    stage.play(resend(PROJECT), (NEXT, STOP))
    assert not project.being_sent


def test_nothing_is_sent_again_for_a_project_that_is_gone_or_over(stage: Stage) -> None:
    stage.play(resend(PROJECT))
    stage.project().cancel(stage.now)
    stage.play(resend(PROJECT))


# -- silence -----------------------------------------------------------------------


def test_a_silent_project_is_given_up_when_it_is_unknown_three_times(stage: Stage) -> None:
    project = old_project(stage)
    stage.receives("jobState", {"jobID": PROJECT, "imgID": JOB, "type": "jobStarted"})
    stage.finished_job(project, "B2")
    project.number_of_media = 2
    nobody = [NOBODY, (live(), refused(404))]
    for strikes in (1, 2):
        stage.play(check_liveness(PROJECT), *nobody)
        assert (project.missed_checks, project.ended) == (strikes, False)
    stage.play(check_liveness(PROJECT), *nobody, ("frame jobError", None))
    assert stage.frames[0][1]["error"] == "artistCanceled"
    assert (project.status, project.error.code) == ("failed", 0)
    assert [job.status for job in project.job_list()] == ["failed", "completed"]


def test_a_sign_of_life_forgives_the_strikes(stage: Stage) -> None:
    project = old_project(stage)
    project.missed_checks = 2
    stage.play(check_liveness(PROJECT), (ACTIVE, bare({"projects": [{"id": PROJECT}]})))
    assert project.missed_checks == 0


def test_silence_of_the_service_is_no_strike(stage: Stage) -> None:
    project = old_project(stage)
    stage.play(check_liveness(PROJECT), (ACTIVE, refused(403)))
    assert project.missed_checks == 0


def test_a_project_that_is_gone_gets_no_strike(stage: Stage) -> None:
    stage.play(check_liveness(PROJECT), NOBODY, (live(), refused(404)))
    old_project(stage).cancel(stage.now)
    stage.play(check_liveness(PROJECT), NOBODY, (live(), refused(404)))


def overrun(stage: Stage) -> Any:
    """A project whose only job has worked as long as it may."""
    project = old_project(stage)
    stage.receives("jobProgress", {"jobID": PROJECT, "imgID": JOB, "step": 1})
    stage.passes(1801).state.tick(stage.now)
    assert outbox.CheckOverrun(PROJECT, JOB) in stage.begun
    return project


@pytest.mark.parametrize(
    "answers",
    [
        [(ACTIVE, bare({"projects": [{"id": PROJECT}]}))],
        [NOBODY, (live(), known("processing"))],
        [(ACTIVE, refused(403))],
    ],
)
def test_a_job_the_service_works_on_may_go_on(stage: Stage, answers: list[Any]) -> None:
    project = overrun(stage)
    stage.play(check_overrun(PROJECT, JOB), *answers)
    assert (project.ended, project.jobs[JOB].runs_until) == (False, stage.now + 1800)


def test_a_job_the_service_does_not_know_is_given_up(stage: Stage) -> None:
    project = overrun(stage)
    stage.play(check_overrun(PROJECT, JOB), NOBODY, (live(), refused(404)), ("frame jobError", None))
    assert (project.status, project.error.message) == ("failed", "the job exceeded its time limit")


@pytest.mark.parametrize(
    ("word", "status"),
    [("canceled", "canceled"), ("cancelled", "canceled"), ("failed", "failed"), ("errored", "failed")],
)
def test_a_job_that_ended_unheard_is_not_given_up(stage: Stage, word: str, status: str) -> None:
    """In the words of either record of the service (projects-5x §9.7, transport §13)."""
    project = overrun(stage)
    record = known(word, workerJobs=[], completedWorkerJobs=[])
    stage.play(check_overrun(PROJECT, JOB), NOBODY, (live(), record))
    assert (project.status, stage.frames) == (status, [])


@pytest.mark.parametrize(
    ("word", "status"),
    [("canceled", "canceled"), ("cancelled", "canceled"), ("failed", "failed"), ("errored", "failed")],
)
def test_a_snapshot_ends_a_project_in_either_words(stage: Stage, word: str, status: str) -> None:
    project = old_project(stage)
    stage.play(reconcile(active(running(status=word))))
    assert project.status == status


def test_a_job_has_half_a_day_whatever_the_service_says(stage: Stage) -> None:
    project = overrun(stage)
    project.jobs[JOB].allowed = 12 * 3600.0
    listed = (ACTIVE, bare({"projects": [{"id": PROJECT}]}))
    stage.play(check_overrun(PROJECT, JOB), listed, ("frame jobError", None))
    assert project.status == "failed"


def test_a_project_is_given_up_even_when_it_cannot_be_canceled(stage: Stage) -> None:
    project = old_project(stage)
    stage.play(give_up(PROJECT, "too long"), ("frame jobError", SogniTimeoutError("slow")))
    assert (project.status, project.error) == ("failed", ErrorData(code=0, message="too long"))


def test_a_project_that_ends_meanwhile_is_not_given_up(stage: Stage) -> None:
    project = old_project(stage)
    stage.play(give_up(PROJECT, "x"), ("frame jobError", lambda stage: project.cancel(stage.now)))
    assert project.status == "canceled"


def test_a_broken_connection_to_the_list_is_no_verdict(stage: Stage) -> None:
    project = old_project(stage)
    gone = (ACTIVE, SogniConnectionError("gone"))
    again = [(f"pause {wait} ±20%", None) for wait in ("0.25", "0.5", "1")]
    stage.play(check_liveness(PROJECT), gone, again[0], gone, again[1], gone, again[2], gone)
    assert project.missed_checks == 0
