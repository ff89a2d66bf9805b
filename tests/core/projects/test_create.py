"""The order of checking, uploading, registering and sending (projects-4.2 §4.6)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sogni.core.projects.create import check_media, cost_limit, create_project, estimate_project, submit
from sogni.errors import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    ConnectionRejectedError,
    CostLimitError,
    ProtocolError,
    SogniConnectionError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.models.params import ControlNetParams, ImageProjectParams
from sogni.settings import Attribution, RetryPolicy
from tests.core.play import (
    JOB,
    MODEL,
    MODELS,
    PNG,
    STOP,
    TIERS,
    TIMEOUT,
    Source,
    Stage,
    bare,
    estimate,
    model,
    ok,
    refused,
)

SENT = ("frame jobRequest", None)
READY = "until the socket (ready, 30 s)"


def create(max_cost: Any = None, **fields: Any) -> Any:
    return create_project(None, {"type": "image", "model_id": MODEL, **fields}, max_cost)


def place(role: str, number: int) -> str:
    query = f"imageId=ID-{number}&jobId=ID-1&type={role}&contentType=image%2Fpng"
    return f"GET rest/v1/image/uploadUrl?{query}"


def put(field: str, role: str) -> tuple[str, Any]:
    return f"PUT the bytes given as {field} to https://store/{role}", ok()


def uploaded(field: str, role: str, number: int) -> list[tuple[str, Any]]:
    return [(place(role, number), ok({"uploadUrl": f"https://store/{role}"})), put(field, role)]


def test_a_project_is_sent_once_its_model_is_known() -> None:
    stage = Stage(app_source="shop").connects()
    project = stage.play(create(positive_prompt="a lighthouse", number_of_media=2), MODELS, TIERS, SENT)
    (kind, payload) = stage.frames[0]
    assert (kind, payload["jobID"], payload["numberOfImages"], payload["appSource"]) == (
        "jobRequest",
        "ID-1",
        2,
        "shop",
    )
    assert (project.id, project.number_of_media, project.kind, project.app_id) == ("ID-1", 2, "image", "app-1")
    assert stage.state.projects.tracked() == [project]


def test_params_may_be_one_object() -> None:
    params = ImageProjectParams(model_id=MODEL)
    project = Stage().connects().knows_models().play(create_project(params, {}), SENT)
    assert project.params.model_id == MODEL


def test_a_project_is_tracked_before_its_frame_is_written() -> None:
    stage = Stage().connects().knows_models()

    def answers_at_once(stage: Stage) -> None:
        stage.receives("jobState", {"jobID": "ID-1", "type": "queued", "queuePosition": 4})

    project = stage.play(create(), ("frame jobRequest", answers_at_once))
    assert (project.status, project.queue_position) == ("queued", 4)


def test_the_request_is_kept_with_the_connection_it_went_out_on_until_it_is_acknowledged() -> None:
    stage = Stage().connects().reconnects().knows_models().passes(3)
    project = stage.play(create(), SENT)
    assert (project.sent_generation, project.sent_at, project.being_sent) == (2, stage.now, False)
    assert project.request == stage.frames[0][1]
    stage.receives("jobState", {"jobID": "ID-1", "type": "queued"})
    assert project.request is None


def test_uploads_go_in_the_order_of_the_service_and_their_sources_are_closed() -> None:
    stage = Stage().connects().knows_models()
    stage.play(
        create(starting_image=PNG, control_net=ControlNetParams(name="canny", image=PNG)),
        *uploaded("starting_image", "startingImage", 2),
        *uploaded("control_net.image", "cnImage", 3),
        SENT,
    )
    assert [source.closed for source in stage.sources] == [True, True]


def test_context_images_go_side_by_side_and_keep_their_position() -> None:
    stage = Stage().connects().knows_models()
    stage.state.catalogue.keep_models([model(id="qwen_image_edit_2511_fp8")], stage.now)
    stage.play(
        create(model_id="qwen_image_edit_2511_fp8", context_images=[PNG, True, PNG]),
        *uploaded("context_images[0]", "contextImage1", 2),
        *uploaded("context_images[2]", "contextImage3", 3),
        SENT,
    )


def test_loras_are_checked_before_anything_is_uploaded() -> None:
    stage = Stage().connects().knows_models()
    listed = ("GET rest/v1/loras/comfy", ok({"loras": [{"loraId": "ink", "modelIds": [MODEL]}]}))
    error = stage.fail(ValidationError, create(loras=["inc"], starting_image=PNG), listed)
    assert str(error) == "loras[0]: the service knows no LoRA 'inc'; did you mean 'ink'?"
    assert [source.closed for source in stage.sources] == [True]
    stage.play(create(loras=["ink"]), SENT)
    assert stage.frames[0][1]["keyFrames"][0]["loras"] == ["ink"]


def test_a_source_is_uploaded_again_after_a_passing_failure() -> None:
    stage = Stage().connects().knows_models()
    to = "PUT the bytes given as starting_image to https://store/startingImage"
    stage.play(
        create(starting_image=PNG),
        (place("startingImage", 2), ok({"uploadUrl": "https://store/startingImage"})),
        (to, SogniConnectionError("broken")),
        ("pause 0.25 ±20%", None),
        (to, refused(503, retry_after="3")),
        ("pause 3", None),
        (to, ok()),
        SENT,
    )


def test_a_refused_upload_names_its_field_and_nothing_is_sent() -> None:
    stage = Stage().connects().knows_models()
    error = stage.fail(
        ValidationError,
        create(starting_image=PNG),
        (place("startingImage", 2), ok({"uploadUrl": "https://store/startingImage"})),
        ("PUT the bytes given as starting_image to https://store/startingImage", refused(400, "too big")),
    )
    assert (error.message, error.__notes__) == ("too big", ["while uploading starting_image"])
    assert (stage.frames, stage.state.projects.by_id, stage.sources[0].closed) == ([], {}, True)


def test_uploading_is_given_up_after_the_tries_of_the_policy() -> None:
    stage = Stage(retry=RetryPolicy(attempts=1)).connects().knows_models()
    stage.fail(
        SogniTimeoutError,
        create(starting_image=PNG),
        (place("startingImage", 2), ok({"uploadUrl": "https://store/startingImage"})),
        ("PUT the bytes given as starting_image to https://store/startingImage", SogniTimeoutError("slow")),
    )


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"number_of_media": 0}, "number_of_media"),
        ({"starting_image": b""}, "starting_image"),
        ({"starting_image": b"no image at all"}, "starting_image"),
        ({"starting_image": PNG, "max_cost": "much"}, "max_cost"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_asked(fields: dict[str, Any], named: str) -> None:
    error = Stage().connects().fail(ValidationError, create(**fields))
    assert error.field == named


def test_a_bad_second_file_closes_the_first() -> None:
    stage = Stage().connects()
    stage.fail(ValidationError, create(starting_image=PNG, control_net={"name": "canny", "image": b"no image"}))
    assert [source.closed for source in stage.sources] == [True, True]


def test_a_choice_the_model_does_not_have_is_refused_before_anything_is_uploaded() -> None:
    stage = Stage().connects().knows_models(comfySampler={"allowed": ["euler"]}, sampler={"allowed": ["euler"]})
    error = stage.fail(ValidationError, create(starting_image=PNG, sampler="fast one"))
    assert (error.field, stage.sources[0].closed) == ("sampler", True)


@pytest.mark.parametrize(
    ("model_id", "tiers", "why"),
    [
        ("flux1-schnell-fp9", {"tier": {"type": "image"}}, "the service knows no model"),
        (MODEL, {}, "tier 'tier' is missing"),
        (MODEL, {"tier": {"type": "hologram"}}, "which this version does not know"),
        (MODEL, {"tier": {"type": "video"}}, "must be an image model for type='image'"),
    ],
    ids=["unknown id", "tier missing", "tier of unknown kind", "tier of another kind"],
)
def test_what_the_catalogue_rules_out_is_refused_before_anything_is_uploaded(
    model_id: str, tiers: dict[str, Any], why: str
) -> None:
    """projects-4.2 §8, rules 1 to 4; list and tiers are asked for whatever the id is (§4.6)."""
    stage = Stage().connects()
    asked = ("GET socket/api/v2/models/tiers", bare(tiers))
    error = stage.fail(ValidationError, create(model_id=model_id, starting_image=PNG), MODELS, asked)
    assert (error.field, why in error.message, stage.sources[0].closed) == ("model_id", True, True)


def test_an_upload_address_the_service_refuses_is_its_error() -> None:
    """projects-4.2 §8, rule 13."""
    stage = Stage().connects().knows_models()
    error = stage.fail(ApiError, create(starting_image=PNG), (place("startingImage", 2), refused(403, "not yours")))
    assert (error.status, error.message, stage.frames, stage.state.projects.tracked()) == (403, "not yours", [], [])


def test_an_answer_without_an_upload_address_ends_the_creation() -> None:
    stage = Stage().connects().knows_models()
    stage.fail(ProtocolError, create(starting_image=PNG), (place("startingImage", 2), ok({"downloadUrl": "x"})))
    assert (stage.frames, stage.state.projects.tracked(), stage.sources[0].closed) == ([], [], True)


def test_an_interrupted_upload_closes_its_sources() -> None:
    stage = Stage().connects().knows_models()
    stage.play(create(starting_image=PNG), (place("startingImage", 2), STOP))
    assert stage.sources[0].closed


def test_without_socket_credentials_or_app_id_nothing_is_looked_at() -> None:
    for stage, kind in (
        (Stage(disable_socket=True), SogniConnectionError),
        (Stage(api_key=None), AuthenticationError),
        (Stage().connects().drops(4015), ConnectionRejectedError),
    ):
        stage.fail(kind, create(starting_image=PNG))
        assert stage.sources == []


# -- sending -----------------------------------------------------------------------


def test_a_request_that_could_not_be_written_leaves_nothing_tracked() -> None:
    stage = Stage().knows_models()
    stage.fail(SogniTimeoutError, create(), (READY, TIMEOUT))
    assert stage.state.projects.tracked() == []


def test_an_interrupted_request_leaves_nothing_tracked() -> None:
    stage = Stage().knows_models()
    stage.play(create(), (READY, STOP))
    assert stage.state.projects.tracked() == []


def test_a_request_whose_frame_may_be_out_stays_tracked_when_it_is_interrupted() -> None:
    """transport §13.2: the next reconciliation tells whether the service has it."""
    stage = Stage().connects().knows_models()
    stage.play(create(), ("frame jobRequest", STOP))
    project = stage.state.projects.by_id["ID-1"]
    assert (project.being_sent, project.ended, project.sent_generation) == (False, False, 1)


def test_a_request_waiting_for_a_socket_is_in_the_hands_of_its_flow() -> None:
    stage = Stage().knows_models()

    def look(stage: Stage) -> None:
        assert stage.state.projects.by_id["ID-1"].being_sent
        stage.connects()

    assert stage.play(create(), (READY, look), SENT).being_sent is False


def test_the_kind_of_a_project_is_that_of_the_listed_model() -> None:
    stage = Stage().connects().knows_models(media="video")
    project = stage.play(submit("ID-9", ImageProjectParams(model_id=MODEL), {"a": 1}), SENT)
    assert (project.kind, stage.frames) == ("video", [("jobRequest", {"a": 1})])


# -- jobs as inputs ----------------------------------------------------------------


class Handle:
    """A job as users have it."""

    def __init__(self, state: Any) -> None:
        self._state = state


def test_a_finished_job_stands_for_its_result() -> None:
    stage = Stage().connects().knows_models()
    job = stage.finished_job()
    source = Source("the bytes given as starting_image", PNG)
    stage.play(
        create(starting_image=Handle(job)),
        ("spool starting_image from https://store/result?sig=1", source),
        *uploaded("starting_image", "startingImage", 2),
        SENT,
    )
    assert source.closed


def test_a_job_without_result_is_no_input() -> None:
    stage = Stage().connects()
    error = stage.fail(ValidationError, create(starting_image=Handle(stage.finished_job(status="failed"))))
    assert (error.field, error.value) == ("starting_image", JOB)


# -- cost limits -------------------------------------------------------------------

ASKED = f"GET socket/api/v2/job/estimate/sogni/fast/{MODEL}/1/0/0/0/0/0/0"


def test_a_project_within_its_limit_is_sent() -> None:
    stage = Stage().connects().knows_models()
    stage.play(create("2.5"), (ASKED, estimate("2.5")), SENT)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("2.6", "the estimated cost of 2.6 sogni exceeds max_cost=2.5"),
        (None, "max_cost=2.5 needs an estimate, which the service did not give"),
    ],
)
def test_a_project_above_its_limit_is_refused_before_it_is_uploaded(token: str | None, message: str) -> None:
    stage = Stage().connects().knows_models()
    asked = f"GET socket/api/v2/job/estimate/sogni/fast/{MODEL}/1/0/0/0/0.5/0/0"
    error = stage.fail(CostLimitError, create(2.5, starting_image=PNG), (asked, estimate(token)))
    assert error.message == message
    assert (error.max_cost, error.estimate.usd, stage.sources[0].closed) == (Decimal("2.5"), Decimal("0.1"), True)


@pytest.mark.parametrize("answer", [refused(404), ok("what?")])
def test_without_an_estimate_a_limit_cannot_be_kept(answer: Any) -> None:
    stage = Stage().connects().knows_models()
    assert stage.fail(CostLimitError, create(1), (ASKED, answer)).estimate is None


def test_a_client_that_is_closed_meanwhile_says_so() -> None:
    Stage().connects().knows_models().fail(ClientClosedError, create(1), (ASKED, ClientClosedError("closed")))


def test_limits_are_exact_amounts() -> None:
    assert [cost_limit(value) for value in (None, 0, "0.1", 0.1, Decimal(3))] == [
        None, 0, Decimal("0.1"), Decimal("0.1"), 3,
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["much", True, -1, float("nan"), "sNaN", float("inf"), [1]])
def test_what_is_no_amount_is_no_limit(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        cost_limit(value)
    assert (caught.value.field, caught.value.allowed) == ("max_cost", "0 or more")


def test_a_project_is_announced_before_anything_of_it_is_sent() -> None:
    stage = Stage().connects().knows_models()
    announced: list[str] = []

    def sent(stage: Stage) -> None:
        assert announced == ["ID-1"]

    given = {"type": "image", "model_id": MODEL}
    project = stage.play(create_project(None, given, announce=announced.append), ("frame jobRequest", sent))
    assert (announced, project.id) == (["ID-1"], "ID-1")


def test_a_request_names_what_makes_it() -> None:
    stage = Stage(attribution=Attribution(workload_kind="direct")).connects().knows_models()
    stage.play(create(), SENT)
    assert stage.frames[0][1]["workloadKind"] == "direct"


def test_what_cannot_be_announced_is_not_sent() -> None:
    def full(_: str) -> None:
        raise OSError("the disk is full")

    stage = Stage().connects().knows_models()
    stage.fail(OSError, create_project(None, {"type": "image", "model_id": MODEL}, announce=full))
    assert stage.state.projects.tracked() == []


def test_the_files_of_a_project_can_be_looked_at_without_creating_it() -> None:
    stage = Stage()
    stage.fail(ValidationError, check_media(ImageProjectParams(model_id=MODEL, starting_image=b"")))
    stage.play(check_media(ImageProjectParams(model_id=MODEL, starting_image=PNG)))
    assert [source.closed for source in stage.sources] == [True]


STEPS = {"steps": {"min": 1, "max": 10, "default": 4}}
MORE_STEPS = ("GET socket/api/v2/models/tiers", bare({"tier": {"type": "image", "steps": {"min": 1, "max": 50}}}))


def test_a_refusal_by_old_options_fetches_them_once_more() -> None:
    stage = Stage().connects().knows_models(**STEPS).passes(61)
    project = stage.play(create(steps=20), MODELS, MORE_STEPS, SENT)
    assert project.params.steps == 20


def test_a_refusal_by_fresh_options_stands() -> None:
    stage = Stage().connects().knows_models(**STEPS).passes(59)
    error = stage.fail(ValidationError, create(steps=20))
    assert error.message == f"steps must be from 1 to 10 for {MODEL}, got 20"


def test_a_refusal_by_options_fetched_once_more_stands() -> None:
    stage = Stage().connects().knows_models(**STEPS).passes(61)
    error = stage.fail(ValidationError, create(steps=99), MODELS, MORE_STEPS)
    assert (error.field, error.value, error.allowed) == ("steps", 99, "from 1 to 50")
    assert stage.frames == []


def test_an_unknown_model_fetches_an_old_list_once_more() -> None:
    stage = Stage().connects().knows_models().passes(61)
    stage.fail(ValidationError, create(model_id="new"), MODELS, TIERS)
    stage = Stage().connects().knows_models().passes(59)
    stage.fail(ValidationError, create(model_id="new"))


def test_an_estimate_is_refused_by_the_same_options() -> None:
    stage = Stage().connects().knows_models(**STEPS)
    stage.fail(ValidationError, estimate_project(None, {"type": "image", "model_id": MODEL, "steps": 20}))


@pytest.mark.parametrize(
    ("limits", "value", "allowed"),
    [({"min": 2}, 1, "2 or more"), ({"max": 2}, 3, "at most 2"), ({"min": 2, "max": 2}, 3, "2")],
)
def test_a_limit_may_be_open(limits: dict[str, Any], value: int, allowed: str) -> None:
    stage = Stage().connects().knows_models(steps=limits)
    assert stage.fail(ValidationError, create(steps=value)).allowed == allowed


@pytest.mark.parametrize(
    ("model_id", "default", "given", "sent"),
    [
        (MODEL, None, None, None),
        (MODEL, "spark", None, "spark"),
        (MODEL, "spark", "sogni", "sogni"),
        ("gpt-image-2", None, None, "spark"),
        ("gpt-image-2", "sogni", None, "spark"),
        ("gpt-image-2", None, "spark", "spark"),
    ],
)
def test_the_token_that_pays(model_id: str, default: Any, given: Any, sent: Any) -> None:
    stage = Stage(token_type=default).connects().knows_models()
    stage.state.catalogue.keep_models([model(id=model_id)], stage.now)
    project = stage.play(create(model_id=model_id, token_type=given), SENT)
    assert (project.params.token_type, stage.frames[0][1].get("tokenType")) == (sent, sent)


def test_models_that_only_spark_pays_for_refuse_sogni() -> None:
    error = Stage().connects().knows_models().fail(ValidationError, create(model_id="gpt-image-2", token_type="sogni"))
    assert error.message == "token_type must be 'spark' for gpt-image-2, got 'sogni'"


@pytest.mark.parametrize(("default", "token"), [(None, "sogni"), ("spark", "spark")])
def test_an_estimate_is_in_the_token_that_pays(default: Any, token: str) -> None:
    stage = Stage(token_type=default).connects().knows_models()
    call = f"GET socket/api/v2/job/estimate/{token}/fast/{MODEL}/1/0/0/0/0/0/0"
    stage.play(estimate_project(None, {"type": "image", "model_id": MODEL}), (call, estimate()))
