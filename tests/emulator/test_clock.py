"""The time of the emulator: how long work takes, how fast time passes, and what follows from both."""

from __future__ import annotations

from datetime import datetime

import pytest

from sogni.emulator import LocalSupernet
from sogni.emulator.clock import Pace
from tests.emulator.media.helpers import LTX, video_request
from tests.emulator.wire import Wire, job_request, key_frame, of_type

KREA = "krea2_turbo_fp8_scaled"
SECONDS = 4.8
"""Eight steps of Krea 2 Turbo, each of 0.6 seconds."""
ESTIMATE = f"/api/v3/job/estimate/spark/fast/{KREA}/1/8/0/0/0/1024/1024/1/_/0"
STAGE = SECONDS / 9
"""The first of nine stages is the start of the job."""


def eight_steps(**top: object) -> dict[str, object]:
    return job_request(frame=key_frame(modelID=KREA, steps=8, width=1024, height=1024, sizePreset="custom"), **top)


def test_a_manual_clock_passes_only_when_it_is_advanced() -> None:
    with LocalSupernet(clock="manual", seed=1) as supernet, Wire(supernet) as wire:
        started = supernet.clock.now()
        wire.connect()
        project = wire.create(eight_steps())
        assert wire.next("jobState", "initiatingModel")["jobID"] == project
        supernet.clock.advance(3.5 * STAGE)
        progress = [wire.next("jobProgress") for _ in range(2)]
        assert [(it["step"], it["etaSeconds"]) for it in progress] == [
            (1, round(7 * STAGE, 1)),
            (2, round(6 * STAGE, 1)),
        ]
        assert started + 3.5 * STAGE == pytest.approx(supernet.clock.now())
        supernet.clock.advance(3600)
        wire.finish(project)
        (record,) = supernet.projects
        assert pytest.approx(SECONDS, abs=0.01) == (record["endTime"] - record["createTime"]) / 1000
        assert (supernet.clock.mode, supernet.clock.factor) == ("manual", 0.0)


def test_everything_that_is_due_happens_at_its_own_time_and_in_order() -> None:
    with LocalSupernet(clock="manual", step_time=10, workers=1) as supernet, Wire(supernet) as wire:
        wire.connect()
        first, second = (wire.create(job_request(frame=key_frame(steps=2))) for _ in range(2))
        wire.next("jobState", "initiatingModel")
        supernet.clock.advance(100)
        wire.finish(first)
        wire.finish(second)
        ends = [record["endTime"] - supernet.projects[0]["createTime"] for record in supernet.projects]
        assert [round(end, -2) for end in ends] == [30_000, 60_000]


def test_estimate_work_and_wait_are_of_one_time() -> None:
    with LocalSupernet(clock="manual", workers=1) as supernet, Wire(supernet) as wire:
        benchmark = wire.get(ESTIMATE).json()["benchmark"]
        assert (benchmark["estimatedRenderTimeSec"], benchmark["estimatedWaitTimeSec"]) == (SECONDS, 0)
        wire.connect()
        wire.create(eight_steps())
        assert wire.next("jobState", "queued")["estimatedStartSeconds"] == 0
        wire.next("jobState", "initiatingModel")
        wire.create(eight_steps(numberOfImages=2))
        waiting = wire.next("jobState", "queued")
        assert (waiting["estimatedStartSeconds"], waiting["waitingReason"]["reason"]) == (SECONDS, "queued")
        wire.create(eight_steps())
        assert wire.next("jobState", "queued")["estimatedStartSeconds"] == round(3 * SECONDS, 1)
        benchmark = wire.get(ESTIMATE).json()["benchmark"]
        assert round(5 * SECONDS, 3) == benchmark["estimatedTotalTimeSec"]
        supernet.clock.advance(SECONDS)
        moved = wire.next("jobState", "initiatingModel")
        assert supernet.projects[1]["id"] == moved["jobID"]


@pytest.mark.parametrize(
    ("options", "mode", "seconds"),
    [
        ({}, "steps", 1.8),
        ({"step_time": 1}, "steps", 9),
        ({"clock": "realistic"}, "realistic", SECONDS),
        ({"clock": 60}, "realistic", SECONDS),
        ({"clock": "realistic", "step_time": 1}, "steps", 9),
        ({"clock": "instant"}, "instant", SECONDS),
        ({"step_time": 0}, "instant", SECONDS),
    ],
)
def test_the_clock_decides_how_long_work_takes(options: dict[str, object], mode: str, seconds: float) -> None:
    with LocalSupernet(**options) as supernet, Wire(supernet) as wire:  # type: ignore[arg-type]
        answer = wire.get(ESTIMATE).json()
        assert (mode, seconds) == (supernet.clock.mode, round(answer["benchmark"]["estimatedRenderTimeSec"], 3))
        assert answer["quote"]["project"]["costInUSD"] == "0.0024"
        assert supernet.clock.factor == options.get("clock", 1) or supernet.clock.factor == 1


def test_a_factor_lets_a_long_video_end_soon() -> None:
    with LocalSupernet(clock=1_000) as supernet, Wire(supernet) as wire:
        wire.connect()
        frames = wire.finish(wire.create(video_request(f"{LTX}_t2v_distilled", width=1280, height=704, frames=97)))
    etas = [frame["etaSeconds"] for frame in of_type(frames, "jobETA")]
    assert sorted(etas, reverse=True) == etas
    assert 64 > etas[0] > 40


def test_a_busy_machine_does_not_multiply_the_duration_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every wait takes three times as long, a step whose remaining time is reported is late only once."""
    sleep = Pace.sleep

    async def late(pace: Pace, seconds: float) -> None:
        await sleep(pace, 3 * seconds)

    monkeypatch.setattr(Pace, "sleep", late)
    with LocalSupernet(clock="manual", step_time=10) as supernet, Wire(supernet) as wire:
        project = wire.connect().create(job_request(frame=key_frame(steps=1)))
        wire.next("jobState", "initiatingModel")
        supernet.clock.advance(45)  # 30 of which it takes to start the job
        wire.finish(project)


def test_urls_and_tokens_expire_when_time_passes() -> None:
    with LocalSupernet(step_time=0) as supernet, Wire(supernet) as wire:
        wire.connect()
        project = wire.create()
        wire.finish(project)
        (job,) = supernet.projects[0]["completedWorkerJobs"]
        url = wire.data("/v1/image/downloadUrl", jobId=project, imageId=job["imgID"], type="complete")["downloadUrl"]
        supernet.clock.advance(3601)
        assert wire.http.get(url).status_code == 403


def test_time_can_be_frozen_set_and_reset() -> None:
    with LocalSupernet(step_time=0) as supernet:
        clock = supernet.clock
        clock.freeze()
        moment = clock.now()
        clock.set(datetime.fromtimestamp(moment + 60))
        assert moment + 60 == pytest.approx(clock.now())
        assert repr(clock).endswith("mode='manual', factor=0)")
        clock.resume(factor=1000)
        supernet.wait_for(lambda: clock.now() > moment + 61)
        clock.freeze()
        supernet.reset()
        assert (clock.mode, clock.factor) == ("instant", 1.0)
        assert clock.now() < moment + 60


def test_the_clock_can_be_set_before_the_start() -> None:
    supernet = LocalSupernet(clock="manual")
    before = supernet.clock.now()
    supernet.clock.advance(60)
    with supernet:
        assert before + 60 == pytest.approx(supernet.clock.now())


@pytest.mark.parametrize("clock", ["fast", 0, -1, True, float("inf"), float("nan")])
def test_a_clock_is_one_of_three_or_a_factor(clock: object) -> None:
    with pytest.raises(ValueError, match="clock must be 'realistic', 'instant', 'manual' or a positive factor"):
        LocalSupernet(clock=clock)  # type: ignore[arg-type]


def test_impossible_times_are_refused() -> None:
    with LocalSupernet(step_time=0) as supernet:
        for refused, change in (
            ("seconds must be a non-negative number", lambda: supernet.clock.advance(-1)),
            ("time must not go back", lambda: supernet.clock.set(0)),
            ("factor must be a positive number, got 0", lambda: supernet.clock.resume(factor=0)),
        ):
            with pytest.raises(ValueError, match=refused):
                change()
    with pytest.raises(ValueError, match="step_time must be 0 or omitted"):
        LocalSupernet(clock="instant", step_time=1)


def test_a_reset_forgets_files_and_starts_ids_over() -> None:
    with LocalSupernet(step_time=0, seed=5) as supernet, Wire(supernet) as wire:
        found = []
        for _ in range(2):
            wire.connect()
            project = wire.create()
            wire.finish(project)
            (job,) = supernet.projects[0]["completedWorkerJobs"]
            found.append((job["imgID"], job["seedUsed"]))
            url = wire.data("/v1/image/downloadUrl", jobId=project, imageId=job["imgID"], type="complete")[
                "downloadUrl"
            ]
            assert wire.http.get(url).status_code == 200
            supernet.reset()
            assert wire.http.get(url).status_code == 403
            assert not list(supernet._now.state.store.directory.iterdir())
        assert found[0] == found[1]
