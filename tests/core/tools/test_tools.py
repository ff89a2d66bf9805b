"""Executing tool calls: what is asked, in which order, and what counts as failure (tools §4)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from attrs import evolve

from sogni.core.tools.flows import MAX_DIRECT_CALLS, ToolOptions, available_media, execute_call, execute_calls
from sogni.core.tools.functions import function_tool
from sogni.core.tools.media import AvailableMedia
from sogni.errors import SogniConnectionError, ValidationError
from sogni.models.catalogue import AvailableModel
from sogni.models.chat import MediaContext
from sogni.models.tools import ToolCall, ToolCallFunction, ToolExecutionProgress, ToolExecutionResult
from tests.core.play import JOB, MODEL, STOP, TIMEOUT, Stage, Stopped, model, ok, refused

SENT = ("frame jobRequest", None)
EVENT = "until an event of project ID-1 (run, 5400 s)"
CANCELED = ("frame jobError", None)
URL = "https://store/result?sig=1"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
)


def call(name: str = "generate_image", **arguments: Any) -> ToolCall:
    given = {"prompt": "a kite", **arguments}
    return ToolCall(id="1", function=ToolCallFunction(name=name, arguments=json.dumps(given)))


def stage(**ids: str) -> Stage:
    """A connected client that knows one image model with workers; `ids` are further ones with their kind."""
    made = Stage().connects().knows_models()
    listed = {MODEL: "image", **ids}
    made.state.catalogue.available = [
        AvailableModel(id=name, name=name, worker_count=1, media=kind) for name, kind in listed.items()
    ]
    return made


def finishes(stage: Stage) -> None:
    """The project's one job runs and is done."""
    stage.receives("jobState", {"jobID": "ID-1", "type": "jobStarted", "imgID": JOB, "workerName": "w"})
    stage.receives("jobProgress", {"jobID": "ID-1", "imgID": JOB, "step": 2, "stepCount": 4})
    stage.receives("jobResult", {"jobID": "ID-1", "imgID": JOB, "performedStepCount": 4, "resultUrl": URL})
    stage.receives("jobState", {"jobID": "ID-1", "type": "jobCompleted"})


def breaks(stage: Stage) -> None:
    """The project fails before it began."""
    stage.receives("jobError", {"jobID": "ID-1", "error": 5, "error_message": "no worker can"})


def cancels(stage: Stage) -> None:
    stage.receives("artistCancelConfirmation", {"jobID": "ID-1", "didCancel": True})


def told_to(seen: list[Any]) -> Any:
    return lambda *arguments: seen.append(arguments)


def steps_of(seen: list[Any]) -> list[tuple[str, float]]:
    return [(progress.status, progress.percent) for *_, progress in seen]


def test_a_call_becomes_a_project_and_its_results() -> None:
    seen: list[Any] = []
    made = AvailableMedia()
    options = ToolOptions(on_progress=told_to(seen), token_type="spark", network="fast", available=made)
    played = stage()
    result = played.play(execute_call(call(), options), SENT, (EVENT, finishes))
    content = f'{{"success":true,"media_type":"image","urls":["{URL}"],"model":"{MODEL}","prompt":"a kite"}}'
    assert result == ToolExecutionResult(
        tool_call_id="1", tool_name="generate_image", success=True, result_urls=[URL], content=content
    )
    payload = played.frames[0][1]
    assert (payload["tokenType"], payload["network"], payload["numberOfImages"]) == ("spark", "fast", 1)
    progress = steps_of(seen)
    assert (progress[:2], progress[-1]) == ([("creating", 0), ("queued", 0)], ("completed", 100))
    assert {status for status, _ in progress[2:-1]} == {"processing"}
    assert seen[-1] == (ToolExecutionProgress(status="completed", percent=100, result_urls=[URL]),)
    assert [job.id for job in made.images] == [JOB]


def test_the_option_counts_when_the_call_names_no_number() -> None:
    played = stage()
    played.play(execute_call(call(), ToolOptions(number_of_media=3, timeout=None)), SENT,
                ("until an event of project ID-1 (run, for ever)", STOP), CANCELED)  # fmt: skip
    assert played.frames[0][1]["numberOfImages"] == 3


def test_progress_of_several_results_never_goes_back() -> None:
    seen: list[Any] = []

    def half(stage: Stage) -> None:
        stage.receives("jobResult", {"jobID": "ID-1", "imgID": "A", "performedStepCount": 4, "resultUrl": URL})

    def rest(stage: Stage) -> None:
        stage.receives("jobError", {"jobID": "ID-1", "imgID": "B", "error": 5, "error_message": "broke"})
        stage.receives("jobState", {"jobID": "ID-1", "type": "jobCompleted"})

    options = ToolOptions(on_progress=told_to(seen), number_of_media=2)
    result = stage().play(execute_call(call(), options), SENT, (EVENT, half), (EVENT, rest))
    shares = [percent for status, percent in steps_of(seen) if status == "processing"]
    assert (result.success, shares) == (True, sorted(shares))
    assert {50, 100} <= set(shares)


def test_a_failed_project_is_a_result_and_is_not_canceled() -> None:
    seen: list[Any] = []
    result = stage().play(execute_call(call(), ToolOptions(on_progress=told_to(seen))), SENT, (EVENT, breaks))
    assert (result.success, result.error, result.content) == (
        False,
        "no worker can",
        '{"success":false,"error":"no worker can"}',
    )
    assert steps_of(seen) == [("creating", 0), ("queued", 0), ("processing", 0), ("failed", 0)]


def test_a_withheld_result_is_a_failure() -> None:
    def withheld(stage: Stage) -> None:
        stage.receives("jobResult", {"jobID": "ID-1", "imgID": JOB, "triggeredNSFWFilter": True})
        stage.receives("jobState", {"jobID": "ID-1", "type": "jobCompleted"})

    result = stage().play(execute_call(call(), ToolOptions()), SENT, (EVENT, withheld))
    assert result.error == "the content filter withheld the result"


def test_a_canceled_project_is_a_failure() -> None:
    def canceled(stage: Stage) -> None:
        stage.state.projects.by_id["ID-1"].cancel(stage.now)

    result = stage().play(execute_call(call(), ToolOptions()), SENT, (EVENT, canceled))
    assert result.error == "the project ended as canceled without a result"


CONFIRMED = "until the confirmation that project ID-1 is canceled (request, 10 s)"


@pytest.mark.parametrize("answer", [cancels, TIMEOUT])
def test_running_out_of_time_cancels_the_project(answer: Any) -> None:
    seen: list[Any] = []
    played = stage()
    result = played.play(
        execute_call(call(), ToolOptions(timeout=2, on_progress=told_to(seen))),
        SENT,
        ("until an event of project ID-1 (run, 2 s)", TIMEOUT),
        ("frame jobError", None),
        (CONFIRMED, answer),
    )
    assert result.error == "project ID-1 was not finished within 2 seconds and was canceled"
    assert steps_of(seen)[-1] == ("failed", 0)


def test_the_time_counts_from_the_call() -> None:
    def slowly(stage: Stage) -> None:
        stage.passes(3)

    stage().play(
        execute_call(call(), ToolOptions(timeout=5)),
        ("frame jobRequest", slowly),
        ("until an event of project ID-1 (run, 2 s)", STOP),
        CANCELED,
    )


def test_an_interrupted_call_asks_for_the_cancellation_of_its_project() -> None:
    played = stage()
    played.play(execute_call(call(), ToolOptions()), SENT, (EVENT, STOP), ("frame jobError", cancels))
    assert (played.frames[-1][1]["jobID"], played.state.projects.by_id) == ("ID-1", {})


def test_a_call_interrupted_while_its_project_is_sent_asks_for_the_cancellation_as_well() -> None:
    played = stage()
    played.play(execute_call(call(), ToolOptions()), (SENT[0], STOP), ("frame jobError", cancels))
    assert (played.frames[-1][1]["jobID"], played.state.projects.by_id) == ("ID-1", {})


def test_an_interrupted_call_whose_project_has_ended_asks_for_nothing() -> None:
    def interrupted(progress: Any) -> None:
        if progress.status == "processing":
            raise Stopped

    played = stage()
    played.play(execute_call(call(), ToolOptions(on_progress=interrupted)), SENT, (EVENT, finishes))
    assert [kind for kind, _ in played.frames] == ["jobRequest"]


@pytest.mark.parametrize("ending", [SystemExit, GeneratorExit])
def test_a_process_that_is_terminated_cancels_nothing(ending: type[BaseException]) -> None:
    played, flow = stage(), execute_call(call(), ToolOptions())
    with pytest.raises(ending):
        played.play(flow, SENT, (EVENT, ending()))
    assert [kind for kind, _ in played.frames] == ["jobRequest"]
    played, flow = stage(), execute_call(call(), ToolOptions())
    with pytest.raises(ending):
        played.play(flow, (SENT[0], ending()))
    assert played.frames == []


def test_a_wait_that_fails_listens_no_more() -> None:
    played = stage()
    lost = SogniConnectionError("gone")
    result = played.play(
        execute_call(call(), ToolOptions()), SENT, (EVENT, lost), ("frame jobError", None), (CONFIRMED, TIMEOUT)
    )
    (feed,) = played.state.projects.by_id["ID-1"]._feeds
    assert (result.error, feed.closed) == ("gone", True)


def test_a_project_that_cannot_be_created_tells_no_failure() -> None:
    seen: list[Any] = []
    flow = execute_call(call(), ToolOptions(on_progress=told_to(seen)))
    result = stage().drops().play(flow, ("until the socket (ready, 30 s)", SogniConnectionError("gone")))
    assert (result.error, steps_of(seen)) == ("gone", [("creating", 0)])


def test_no_model_is_a_failure() -> None:
    played = stage()
    played.state.catalogue.available = []
    result = played.play(execute_call(call(), ToolOptions()), ("until a model with workers (ready, 10 s)", TIMEOUT))
    assert result.error == "no model was announced within 10 seconds"
    short = played.play(
        execute_call(call(), ToolOptions(timeout=2)), ("until a model with workers (ready, 2 s)", TIMEOUT)
    )
    assert short.error == "no model was announced within 2 seconds"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{oops", "generate_image: arguments are not valid JSON"),
        ("", "generate_image: prompt is required"),
        ("[]", "generate_image: arguments must be a JSON object, got list"),
        ('{"prompt": "x", "seed": 1.5}', "generate_image: seed must be an integer, got 1.5"),
    ],
)
def test_arguments_are_checked_before_anything_is_asked(arguments: str, words: str) -> None:
    bad = ToolCall(id="1", function=ToolCallFunction(name="generate_image", arguments=arguments))
    result = Stage().play(execute_call(bad, ToolOptions()))
    assert not result.success
    assert (result.error or "").startswith(words)


def test_a_tool_of_the_service_is_a_failure() -> None:
    result = Stage().play(execute_call(call("orbit_video"), ToolOptions()))
    assert (result.success, result.tool_name) == (False, "orbit_video")
    assert "runs only in the service" in (result.error or "")


def test_a_tool_of_nobody_raises() -> None:
    error = Stage().fail(ValidationError, execute_call(call("my_tool"), ToolOptions()))
    assert error.field == "tool_call"


def test_a_callback_that_raises_stops_nothing() -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    result = stage().play(execute_call(call(), ToolOptions(on_progress=broken)), SENT, (EVENT, finishes))
    assert result.success


def test_an_earlier_result_becomes_the_image_of_a_video() -> None:
    played = stage(**{"ltx23-22b-fp8_i2v_distilled": "video"})
    played.knows_models(media="video")
    played.state.catalogue.keep_models([model(id="ltx23-22b-fp8_i2v_distilled", media="video")], played.now)
    job = played.finished_job()
    seen: list[Any] = []
    result = played.play(
        execute_call(
            call("generate_video", referenceImageIndices=[0], duration=2),
            ToolOptions(available=AvailableMedia(images=[job]), on_tool_progress=told_to(seen)),
        ),
        ("spool reference_image from https://store/result?sig=1", lambda stage: stage._opened("reference_image", PNG)),
        (
            "GET rest/v1/image/uploadUrl?imageId=ID-2&jobId=ID-1&type=referenceImage&contentType=image%2Fpng",
            ok({"uploadUrl": "https://store/up"}),
        ),
        ("PUT the bytes given as reference_image to https://store/up", ok()),
        SENT,
        (EVENT, breaks),
    )
    assert result.error == "no worker can"
    assert seen[0][0].function.name == "generate_video"


TRUSTED = "https://cdn.sogni.ai/a.png"
FETCHED = f"spool sourceImageIndex from {TRUSTED}"


def edit(played: Stage, *script: Any) -> ToolExecutionResult:
    played.state.catalogue.available = [AvailableModel(id="gpt-image-2", name="g", worker_count=1)]
    played.state.catalogue.keep_models([model(id="gpt-image-2")], played.now)
    options = ToolOptions(available=AvailableMedia(uploaded_images=[TRUSTED]))
    result: ToolExecutionResult = played.play(execute_call(call("edit_image", sourceImageIndex=-1), options), *script)
    return result


def test_a_trusted_address_is_fetched() -> None:
    played = stage()
    edit(
        played,
        (FETCHED, lambda stage: stage._opened("it", PNG)),
        (
            "GET rest/v1/image/uploadUrl?imageId=ID-2&jobId=ID-1&type=contextImage1&contentType=image%2Fpng",
            ok({"uploadUrl": "https://store/up"}),
        ),
        ("PUT the bytes given as it to https://store/up", ok()),
        SENT,
        (EVENT, STOP),
        CANCELED,
    )
    assert [source.closed for source in played.sources] == [True]


def test_what_cannot_be_fetched_or_is_too_large_is_a_failure() -> None:
    assert not edit(stage(), (FETCHED, refused(404, "gone"))).success
    assert "does not redirect" in (edit(stage(), (FETCHED, refused(302))).error or "")

    def large(stage: Stage) -> Any:
        source = stage._opened("it", PNG)
        source.size = 20 * 2**20 + 1
        return source

    played = stage()
    assert "at most 20971520 bytes" in (edit(played, (FETCHED, large)).error or "")
    assert played.sources[0].closed


# -- several -------------------------------------------------------------------


def test_calls_run_one_after_the_other_each_with_a_result() -> None:
    def weather(city: str) -> dict[str, str]:
        if city == "Atlantis":
            raise LookupError("it sank")
        return {"sky": f"blue over {city}"}

    options = ToolOptions(
        functions={"weather": function_tool(weather)}, on_tool_call=lambda one: f"said {one.function.name}"
    )
    calls = [
        call("orbit_video"),
        ToolCall(id="2", function=ToolCallFunction(name="weather", arguments='{"city": "Oslo"}')),
        ToolCall(id="3", function=ToolCallFunction(name="weather", arguments='{"city": "Atlantis"}')),
        ToolCall(id="4", function=ToolCallFunction(name="weather", arguments='{"town": 1}')),
        call("mine"),
        call(),
    ]
    results = stage().play(execute_calls(calls, options), SENT, (EVENT, finishes))
    assert [result.success for result in results] == [False, True, False, False, True, True]
    assert [result.content for result in results[1:5]] == [
        '{"sky":"blue over Oslo"}',
        '{"success":false,"error":"it sank"}',
        '{"success":false,"error":"weather has no argument \'town\'"}',
        "said mine",
    ]


def test_a_call_for_nobody_is_a_failure() -> None:
    def broken(_: ToolCall) -> str:
        raise RuntimeError("handler broke")

    (unheard,) = Stage().play(execute_calls([call("mine")], ToolOptions()))
    (broke,) = Stage().play(execute_calls([call("mine")], ToolOptions(on_tool_call=broken)))
    assert ("no tool 'mine'" in (unheard.error or ""), broke.error) == (True, "handler broke")


def test_too_many_direct_calls_raise_before_anything_runs() -> None:
    calls = [call()] * (MAX_DIRECT_CALLS + 1)
    assert Stage().fail(ValidationError, execute_calls(calls, ToolOptions())).field == "tool_calls"
    hosted = Stage().play(execute_calls([call("orbit_video")] * 9, ToolOptions()))
    assert len(hosted) == 9


def test_what_indices_stand_for() -> None:
    context = MediaContext(images=["a"], uploaded_audio=["b"])
    assert available_media(None) is None
    assert (
        available_media(context)
        == AvailableMedia(images=["a"], uploaded_audio=["b"])
        == available_media({"images": ("a",), "uploaded_audio": ["b"], "videos": None})
    )
    with pytest.raises(TypeError, match="did you mean 'images'"):
        available_media({"image": []})


def test_options_are_a_value() -> None:
    assert evolve(ToolOptions(), timeout=1).timeout == 1
