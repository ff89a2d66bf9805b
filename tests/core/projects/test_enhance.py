"""Enhancing an image: the download, the project and the wait (projects-5x §8, additions-5x §14)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.projects.create import enhance, enhanced_url
from sogni.errors import JobError, PartialFailureError, ProjectFailedError, ValidationError
from tests.core.play import JOB, MODEL, PNG, Source, Stage, bare, model, ok


class Handle:
    """A job as users have it."""

    def __init__(self, state: Any) -> None:
        self._state = state


def begin(number: int = 1) -> list[tuple[str, Any]]:
    ids = (f"ID-{2 * number - 1}", f"ID-{2 * number}")
    place = f"GET rest/v1/image/uploadUrl?imageId={ids[1]}&jobId={ids[0]}&type=startingImage&contentType=image%2Fpng"
    return [
        ("spool starting_image from https://store/result?sig=1", Source("the result", PNG)),
        (place, ok({"uploadUrl": "https://store/up"})),
        ("PUT the result to https://store/up", ok()),
        ("frame jobRequest", None),
    ]


def wait(number: int = 1) -> str:
    return f"until project ID-{2 * number - 1} (run, for ever)"


def completes(number: int = 1) -> Any:
    def happens(stage: Stage) -> None:
        project_id = f"ID-{2 * number - 1}"
        stage.receives("jobResult", {"jobID": project_id, "imgID": "E", "resultUrl": "https://store/better"})
        stage.receives("jobState", {"jobID": project_id, "type": "jobCompleted"})

    return happens


@pytest.fixture
def stage() -> Stage:
    stage = Stage().connects().knows_models()
    krea = model(id="krea2_turbo_fp8_scaled")
    stage.state.catalogue.keep_models([model(), krea], stage.now)
    return stage


def test_the_enhanced_image_is_made_of_the_result(stage: Stage) -> None:
    job = stage.finished_job(stage.project(positive_prompt="a lighthouse", token_type="spark"), seed=9)
    url = stage.play(enhance(job, Handle(job), "heavy", style_prompt="ink"), *begin(), (wait(), completes()))
    sent = stage.frames[0][1]
    frame = sent["keyFrames"][0]
    assert {key: frame.get(key) for key in ("modelID", "steps", "guidanceScale", "sizePreset", "width", "height")} == {
        "modelID": "krea2_turbo_fp8_scaled", "steps": 8, "guidanceScale": 1, "sizePreset": None, "width": None,
        "height": None,
    }  # fmt: skip
    assert (sent["previews"], sent["numberOfImages"], frame["strength"]) == (0, 1, pytest.approx(0.49))
    assert (url, frame["positivePrompt"], frame["stylePrompt"], frame["seed"]) == (
        "https://store/better", "a lighthouse", "ink", 9,
    )  # fmt: skip
    assert (stage.frames[0][1]["tokenType"], job.enhancement.status) == ("spark", "completed")


def test_the_size_of_the_project_is_kept(stage: Stage) -> None:
    presets = bare([{"id": "wide", "label": "", "width": 640, "height": 320, "ratio": "2:1", "aspect": "2:1"}])
    asked = (f"GET socket/api/v1/size-presets/network/relaxed/model/{MODEL}", presets)
    for params, before in (
        ({"width": 512, "height": 256, "size_preset": "custom"}, []),
        ({"size_preset": "wide", "network": "relaxed"}, [asked]),
    ):
        job = stage.finished_job(stage.project(f"P-{len(before)}", **params), seed=0)
        number = len(stage.frames) + 1
        steps = [*before, *begin(number), (wait(number), completes(number))]
        stage.play(enhance(job, Handle(job), "light"), *steps)
        frame = stage.frames[-1][1]["keyFrames"][0]
        width, height = (512, 256) if not before else (640, 320)
        assert (frame["width"], frame["height"], frame["sizePreset"], frame["seed"]) == (width, height, "custom", 0)


def test_the_token_is_that_of_the_project() -> None:
    for settings, params, given, expected in (
        ({}, {}, None, None),
        ({"token_type": "sogni"}, {}, None, "sogni"),
        ({"token_type": "sogni"}, {"token_type": "spark"}, None, "spark"),
        ({}, {"token_type": "spark"}, "sogni", "sogni"),
    ):
        stage = Stage(**settings).connects().knows_models()
        stage.state.catalogue.keep_models([model(id="krea2_turbo_fp8_scaled")], stage.now)
        job = stage.finished_job(stage.project(**params))
        stage.play(enhance(job, Handle(job), "light", token_type=given), *begin(), (wait(), completes()))
        assert stage.frames[0][1].get("tokenType") == expected


def test_changes_of_the_enhancement_are_changes_of_the_job(stage: Stage) -> None:
    job = stage.finished_job()
    stage.state.listen()

    def progresses(stage: Stage) -> None:
        assert job.enhancement.enhances is job
        stage.state.out.deliveries.clear()
        stage.receives("jobProgress", {"jobID": "ID-1", "imgID": "E", "step": 1, "stepCount": 5})
        heard = [it.value for it in stage.state.out.deliveries if it.listeners is job.listeners]
        assert {"enhanced_image"} in heard
        completes()(stage)

    stage.play(enhance(job, Handle(job), "light"), *begin(), (wait(), progresses))


def test_a_second_enhancement_takes_the_place_of_the_first(stage: Stage) -> None:
    job = stage.finished_job()
    stage.play(enhance(job, Handle(job), "light"), *begin(), (wait(), completes()))
    first = job.enhancement
    stage.play(enhance(job, Handle(job), "light"), *begin(2), (wait(2), completes(2)))
    assert (job.enhancement is first, first.enhances, job.enhancement.enhances) == (False, None, job)


def test_an_enhancement_that_ends_at_once_tells_no_more(stage: Stage) -> None:
    job = stage.finished_job()
    *before, _ = begin()
    stage.play(enhance(job, Handle(job), "light"), *before, ("frame jobRequest", completes()))
    assert job.enhancement.enhances is None


def test_a_failed_enhancement_raises_and_is_kept(stage: Stage) -> None:
    job = stage.finished_job()

    def fails(stage: Stage) -> None:
        stage.receives("jobError", {"jobID": "ID-1", "error": "genfailure", "error_message": "no luck"})

    error = stage.fail(ProjectFailedError, enhance(job, Handle(job), "light"), *begin(), (wait(), fails))
    assert (error.message, job.enhancement.status, job.status) == ("no luck", "failed", "completed")


def test_a_withheld_enhancement_is_no_result(stage: Stage) -> None:
    job = stage.finished_job()

    def withheld(stage: Stage) -> None:
        stage.receives("jobResult", {"jobID": "ID-1", "imgID": "E", "triggeredNSFWFilter": True})
        stage.receives("jobState", {"jobID": "ID-1", "type": "jobCompleted"})

    stage.fail(PartialFailureError, enhance(job, Handle(job), "light"), *begin(), (wait(), withheld))


@pytest.mark.parametrize("changes", [{"status": "failed"}, {"is_nsfw": True}])
def test_only_an_image_that_is_there_can_be_enhanced(stage: Stage, changes: dict[str, Any]) -> None:
    job = stage.finished_job(**changes)
    handle = Handle(job)
    error = stage.fail(JobError, enhance(job, handle, "light"))
    assert (error.job is handle, error.message.startswith(f"job {JOB}: ")) == (True, True)


def test_a_strength_there_is_not_is_refused_first(stage: Stage) -> None:
    job = stage.finished_job(status="failed")
    assert stage.fail(ValidationError, enhance(job, Handle(job), "extreme")).field == "strength"


def test_videos_are_not_enhanced(stage: Stage) -> None:
    job = stage.finished_job()
    job.project.kind = "video"
    stage.fail(JobError, enhance(job, Handle(job), "light"))


def test_an_enhanced_image_that_is_not_there_has_no_address() -> None:
    stage = Stage().connects()
    project = stage.project()
    error = stage.fail(JobError, enhanced_url(project))
    assert error.message == "the enhanced image is pending; only a completed one has a result"
    stage.finished_job(project)
    assert stage.play(enhanced_url(project)) == "https://store/result?sig=1"
