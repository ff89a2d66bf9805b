"""One project for all calls of an account with the same key (projects-4.2 §1, projects-5x §9.6, §9.7)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from sogni.core import outbox
from sogni.core.projects import idempotency
from sogni.core.projects.create import RequestQueue, create_once
from sogni.core.projects.idempotency import Claim, id_of_key
from sogni.core.projects.params import project_params
from sogni.core.projects.recovery import poll
from sogni.errors import ApiError, ProtocolError, SogniConnectionError, ValidationError
from sogni.models.params import ControlNetParams, ImageProjectParams
from tests.core.play import JOB, MODEL, MODELS, PNG, STOP, TIERS, Stage, bare, ok, refused

ADDRESS = "0x28578Fb373d3E2a2431cd7e2eCCed24a0eDE234E"
ID = "864A3E09-BD3A-4033-BC43-C68D5EAA07A4"
ME = ("GET rest/v1/account/me", ok({"username": "mia", "walletAddress": ADDRESS}))
LIVE = f"GET rest/v2/projects/{ID}"
UNKNOWN = (LIVE, refused(404))
SENT = ("frame jobRequest", None)
FIELDS = {"type": "image", "model_id": MODEL}


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    idempotency._sent.clear()
    yield
    assert idempotency._held == {}


@pytest.fixture
def stage() -> Stage:
    stage = Stage().connects().knows_models()
    stage.state.account.wallet_address = ADDRESS
    return stage


def create(key: Any = "order 17", **fields: Any) -> Any:
    return create_once(key, None, {**FIELDS, **fields})


def known(status: str, **fields: Any) -> tuple[str, Any]:
    return LIVE, ok({"project": {"id": ID, "status": status, "model": {"id": MODEL}, "imageCount": 1, **fields}})


def followed(status: str, **fields: Any) -> list[tuple[str, Any]]:
    """The service's answers about a project that exists: first whether it does, then its record."""
    found = known(status, appId="app-1", **fields)
    return [found, (f"GET rest/v1/projects/{ID}", refused(404)), found]


def test_an_id_depends_on_the_account_and_the_key_only() -> None:
    assert id_of_key(ADDRESS, "order 17") == id_of_key(ADDRESS.lower(), "order 17") == ID
    assert len({ID, id_of_key(ADDRESS, "order 18"), id_of_key(ADDRESS[:-1] + "F", "order 17")}) == 3
    assert (uuid.UUID(ID).version, uuid.UUID(ID).variant) == (4, uuid.RFC_4122)
    assert re.fullmatch(r"[0-9A-F-]{36}", id_of_key(ADDRESS, "\ud800 ü"))


@pytest.mark.parametrize("key", ["", "x" * 256, 17, b"key", True, ["key"]])
def test_a_key_is_a_string_of_1_to_255_characters(key: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        create(key)
    error = caught.value
    assert (error.field, error.value, error.allowed) == ("idempotency_key", key, "a string of 1 to 255 characters")


def test_a_project_is_sent_under_its_id_once_the_service_does_not_know_it() -> None:
    stage = Stage().connects()
    project = stage.play(create("x" * 255), MODELS, TIERS, ME, (f"GET rest/v2/projects/{id_of_key(ADDRESS, 'x' * 255)}",
                         refused(404)), SENT)  # fmt: skip
    assert project.id == stage.frames[0][1]["jobID"] == id_of_key(ADDRESS, "x" * 255)
    assert stage.begun == [outbox.Poll(project.id)]


def test_a_key_that_nobody_has_used_is_not_looked_up(stage: Stage) -> None:
    announced: list[str] = []
    flow = create_once("order 17", None, FIELDS, announce=announced.append, is_new=True)
    assert (stage.play(flow, SENT).id, announced) == (ID, [ID])
    assert (stage.begun, [project_id for _, project_id in idempotency._sent]) == ([], [ID])


def test_without_a_key_nothing_is_asked_or_remembered(stage: Stage) -> None:
    assert stage.play(create(None), SENT).id == "ID-1"
    assert (stage.begun, idempotency._sent) == ([], {})


def test_an_account_without_an_address_has_no_keys() -> None:
    stage = Stage().connects().knows_models()
    stage.fail(ProtocolError, create(), (ME[0], ok({"username": "mia"})))


def test_a_project_of_another_process_is_followed(stage: Stage) -> None:
    project = stage.play(create(), *followed("processing"))
    assert (project.id, project.recovered, stage.frames) == (ID, True, [])
    assert stage.play(create()) is project


def test_the_service_is_asked_before_the_price_and_before_any_upload(stage: Stage) -> None:
    announced: list[str] = []
    flow = create_once("order 17", None, {**FIELDS, "starting_image": PNG}, 0, announced.append)
    assert stage.play(flow, *followed("processing")).id == ID
    assert (announced, [source.closed for source in stage.sources]) == ([], [True])


@pytest.mark.parametrize("status", ["failed", "canceled", "completed"])
def test_a_project_that_has_ended_is_that_of_its_key(stage: Stage, status: str) -> None:
    assert stage.play(create(), *followed(status)).status == status


def test_a_project_that_the_service_may_know_is_not_sent(stage: Stage) -> None:
    stage.fail(ApiError, create(), (LIVE, refused(403)))
    assert stage.frames == []


def test_a_tracked_project_is_that_of_its_key(stage: Stage) -> None:
    project = stage.play(create(), UNKNOWN, SENT)
    assert stage.play(create()) is project
    stage.receives("jobState", {"jobID": ID, "type": "jobCompleted"})
    assert stage.play(create()) is project


def test_a_project_that_the_service_refused_may_be_sent_again(stage: Stage) -> None:
    refused_one = stage.play(create(), UNKNOWN, SENT)
    stage.receives("jobError", {"jobID": ID, "error": 123, "error_message": "insufficient funds"})
    assert refused_one.status == "failed"
    again = stage.play(create(steps=2), UNKNOWN, SENT)
    assert (again is refused_one, again.id, again.status) == (False, ID, "pending")


def test_a_project_that_failed_at_work_is_not_sent_again(stage: Stage) -> None:
    project = stage.play(create(), UNKNOWN, SENT)
    stage.receives("jobError", {"jobID": ID, "error": 5000, "error_message": "broken"})
    assert stage.play(create(), known("failed")) is project


def test_a_project_that_was_not_sent_may_be_another_one(stage: Stage) -> None:
    stage.state.settings.timeouts
    lost = SogniConnectionError("gone")
    stage.fail(SogniConnectionError, create(), (LIVE, lost), ("pause 0.25 ±20%", None), (LIVE, lost),
               ("pause 0.5 ±20%", None), (LIVE, lost), ("pause 1 ±20%", None), (LIVE, lost))  # fmt: skip
    assert stage.play(create(steps=3), UNKNOWN, SENT).params.steps == 3


def test_a_second_call_waits_for_the_first(stage: Stage) -> None:
    outcomes: list[Any] = []

    def second_call(stage: Stage) -> Any:
        waiting = ("pause 0.05", STOP)
        outcomes.append(stage.play_inside(create(), waiting))
        return refused(404)

    project = stage.play(create(), (LIVE, second_call), SENT)
    assert outcomes == [None]
    assert stage.play(create()) is project


def test_a_call_that_waits_goes_on_when_the_first_has_ended(stage: Stage) -> None:
    first = Claim("order 17")
    stage.play(first.take(ImageProjectParams(model_id=MODEL)), UNKNOWN)
    project = stage.play(create(), ("pause 0.05", lambda _: first.release()), UNKNOWN, SENT)
    assert project.id == ID


def test_a_call_does_not_wait_for_one_of_the_process_it_was_forked_from(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Claim("order 17")
    stage.play(first.take(ImageProjectParams(model_id=MODEL)), UNKNOWN)
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: -1)
        assert stage.play(create(), UNKNOWN, SENT).id == ID
    first.release()


def test_another_client_of_the_process_does_not_send_it_while_it_is_too_new_to_be_known(stage: Stage) -> None:
    stage.play(create(), UNKNOWN, SENT)
    other = Stage().connects().knows_models()
    other.state.account.wallet_address = ADDRESS
    again = ("pause 0.5 ±20%", None)
    assert other.play(create(), UNKNOWN, again, UNKNOWN, again, *followed("queued")).id == ID
    assert other.frames == []
    other.state.projects.by_id.clear()
    assert other.passes(5.1).play(create(), UNKNOWN, SENT).id == ID


def test_what_a_process_remembers_is_limited(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_MAX_REMEMBERED", 1)
    for key in ("one", "two"):
        stage.play(create(key), (f"GET rest/v2/projects/{id_of_key(ADDRESS, key)}", refused(404)), SENT)
    assert [place[1] for place in idempotency._sent] == [id_of_key(ADDRESS, "two")]


# Other parameters


def test_a_key_with_other_parameters_is_refused_with_both_values(stage: Stage) -> None:
    stage.play(create(positive_prompt="a fox", steps=4), UNKNOWN, SENT)
    error = stage.fail(ValidationError, create(positive_prompt="a cat", seed=7))
    assert (error.field, error.value) == ("idempotency_key", "order 17")
    assert error.message == (
        f"idempotency_key 'order 17' belongs to project {ID}, which was created with positive_prompt='a fox', "
        "seed=None, steps=4; got positive_prompt='a cat', seed=7, steps=None. Use another key for another project"
    )


def test_a_key_that_another_client_of_the_process_has_used_is_compared_too(stage: Stage) -> None:
    stage.play(create(guidance=3.5), UNKNOWN, SENT)
    stage.state.projects.by_id.clear()
    assert "guidance=3.5; got guidance=None" in stage.fail(ValidationError, create(), known("queued")).message


def test_parameters_are_shortened_and_show_no_signatures(stage: Stage) -> None:
    url = "https://store.example/mask?signature=secret"
    stage.play(create(positive_prompt="x" * 500), UNKNOWN, SENT)
    error = stage.fail(ValidationError, create(app_source=url))
    assert ("x" * 100 not in error.message, "secret" not in error.message) == (True, True)


def test_objects_are_compared_by_their_fields(stage: Stage) -> None:
    net = {"name": "canny", "strength": 0.5}
    sent_with(stage, control_net=ControlNetParams(**net))
    assert sent_with(stage, control_net=net).id == ID
    assert "control_net=" in refused_with(stage, control_net={**net, "strength": 1}).message


def test_lists_are_compared_in_order(stage: Stage) -> None:
    sent_with(stage, loras=["a", "b"])
    assert sent_with(stage, loras=["a", "b"]).id == ID
    assert "loras=['a', 'b']; got loras=['b', 'a']" in refused_with(stage, loras=["b", "a"]).message


@pytest.mark.parametrize(
    ("before", "now"), [({"starting_image": 60}, {"starting_image": 61}), ({"context_images[0]": 60}, {})]
)
def test_media_are_compared_by_size(stage: Stage, before: dict[str, int], now: dict[str, int]) -> None:
    sent_with(stage, before)
    assert sent_with(stage, before).id == ID
    (name,) = before
    shown = f"'<{now[name]} bytes>'" if now else None
    assert f"{name}='<60 bytes>'; got {name}={shown}" in refused_with(stage, now).message


def test_a_data_url_is_compared_by_its_content(stage: Stage) -> None:
    sent_with(stage, gpt_image_mask_url="data:image/png;base64,AAAA")
    message = refused_with(stage, gpt_image_mask_url="data:image/png;base64,AAAB").message
    assert ("AAAA" in message, "gpt_image_mask_url='<26 characters, " in message) == (False, True)


def sent_with(stage: Stage, media: dict[str, int] | None = None, **fields: Any) -> Any:
    """The project of the key, with parameters that need not fit the model."""
    claim = Claim("order 17")
    params = project_params(None, {**FIELDS, **fields})
    stage.play(claim.take(params, media), *([] if idempotency._sent else [UNKNOWN]))
    if claim.project is None:
        claim.project = stage.project(ID, **fields)
        stage.play(claim.sent(claim.project))
    claim.release()
    return claim.project


def refused_with(stage: Stage, media: dict[str, int] | None = None, **fields: Any) -> ValidationError:
    claim = Claim("order 17")
    error = stage.fail(ValidationError, claim.take(project_params(None, {**FIELDS, **fields}), media))
    claim.release()
    return error


class Notes:
    """What processes have noted."""

    def __init__(self) -> None:
        self.written: dict[tuple[str, str], dict[str, str]] = {}

    def read(self, service: str, project_id: str) -> dict[str, str] | None:
        return self.written.get((service, project_id))

    def write(self, service: str, project_id: str, parameters: Any) -> None:
        self.written[service, project_id] = dict(parameters)


@pytest.fixture
def notes(stage: Stage) -> Notes:
    stage.state.key_notes = Notes()
    return stage.state.key_notes


def test_what_is_sent_is_noted_before(stage: Stage, notes: Notes) -> None:
    place = f"GET rest/v1/image/uploadUrl?imageId=ID-1&jobId={ID}&type=startingImage&contentType=image%2Fpng"
    stage.fail(ApiError, create(starting_image=PNG, positive_prompt="a fox"), UNKNOWN, (place, refused(403)))
    ((_, noted),) = notes.written.items()
    assert noted.keys() >= {"model_id", "positive_prompt", "starting_image"}
    assert "fox" not in str(noted)


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        ({"steps": 3, "guidance": 2}, "steps=<another value>, seed=<another value>; got steps=3, seed=None"),
        ({"style_prompt": "ink"}, "style_prompt=None; got style_prompt='ink'"),
        ({"number_of_media": 2}, "number_of_media=1; got number_of_media=2"),
    ],
)
def test_what_another_process_noted_is_compared(stage: Stage, notes: Notes, now: dict[str, Any], shown: str) -> None:
    stage.play(create(steps=4, seed=7, guidance=2), UNKNOWN, SENT)
    for remembered in (idempotency._sent, stage.state.projects.by_id):
        remembered.clear()
    same = {"steps": 4, "seed": 7, "guidance": 2.0}
    given = now if "steps" in now else {**same, **now}
    assert shown in stage.fail(ValidationError, create(**given), known("completed")).message
    assert stage.play(create(**same), *followed("completed")).id == ID


def test_equal_values_of_different_projects_are_not_recognized(stage: Stage, notes: Notes) -> None:
    for key in ("one", "two"):
        stage.play(create(key), (f"GET rest/v2/projects/{id_of_key(ADDRESS, key)}", refused(404)), SENT)
    one, two = notes.written.values()
    assert (one.keys(), set(one.values()) & set(two.values())) == (two.keys(), set())


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ({"model": {"id": "flux2"}}, "model_id='flux2'; got model_id='flux1-schnell-fp8'"),
        ({"imageCount": 2}, "number_of_media=2; got number_of_media=1"),
        ({"clientRequestData": "eyJrZXlGcmFtZXMiOlt7InBvc2l0aXZlUHJvbXB0IjoiYSBmb3gifV19"},
         "positive_prompt='a fox'; got positive_prompt=''"),
    ],
)  # fmt: skip
def test_what_the_service_has_recorded_is_compared(stage: Stage, recorded: dict[str, Any], shown: str) -> None:
    error = stage.fail(ValidationError, create(), known("processing", **recorded))
    assert shown in error.message


def test_the_request_in_the_list_of_active_projects_is_compared(stage: Stage) -> None:
    answer = known("processing")
    request = "eyJrZXlGcmFtZXMiOlt7InBvc2l0aXZlUHJvbXB0IjoiYSBmb3gifV19"
    listed = {
        "activeProjects": [
            {"id": ID, "status": "progress", "model": {"id": MODEL}, "imageCount": 1, "clientRequestData": request}
        ]
    }
    sync = bare({**listed, "unclaimedCompletedProjects": []})
    script = [answer, (f"GET rest/v1/projects/{ID}", refused(404)), answer]
    script.append(("GET socket/api/v1/artist/projects/sync", sync))
    error = stage.fail(ValidationError, create(positive_prompt="a cat"), *script)
    assert "positive_prompt='a fox'; got positive_prompt='a cat'" in error.message


def test_what_the_service_does_not_record_is_not_compared(stage: Stage) -> None:
    record = {"model": None, "imageCount": None, "stepCount": 20, "width": 640}
    assert stage.play(create(number_of_media=2, steps=4), *followed("processing", **record)).id == ID


def test_a_recovered_project_is_compared_with_what_was_restored(stage: Stage) -> None:
    project = stage.play(create(steps=4), *followed("processing", stepCount=20, imageCount=None))
    assert stage.play(create(steps=5, number_of_media=3)) is project
    claim = Claim("order 17")
    error = stage.fail(ValidationError, claim.take(ImageProjectParams(model_id="flux2")))
    claim.release()
    assert f"model_id='{MODEL}'; got model_id='flux2'" in error.message


def test_requests_of_a_map_may_have_keys(stage: Stage) -> None:
    plan = RequestQueue([{**FIELDS, "idempotency_key": "order 17"}, {**FIELDS, "idempotency_key": ""}], 8, None)
    assert plan.more()
    assert stage.play(plan.take()[1], UNKNOWN, SENT).id == ID
    assert plan.more()
    assert stage.fail(ValidationError, plan.take()[1]).field == "idempotency_key"


# Whose frames they are: two processes may send the same request, and one of them gets the frames.


def test_polling_ends_with_the_first_frame_of_a_job(stage: Stage) -> None:
    stage.project(ID)
    begins = ("jobState", {"jobID": ID, "imgID": JOB, "type": "initiatingModel"})

    def late_frame(stage: Stage) -> Any:
        stage.on_the_way.append(begins)
        return known("processing")[1]

    stage.play(poll(ID), ("pause 0.5 ±20%", None), UNKNOWN, ("pause 0.75 ±20%", None), known("queued"),
               ("pause 1.125 ±20%", None), (LIVE, late_frame))  # fmt: skip
    stage.play(poll(ID), ("pause 0.5 ±20%", None))
    assert stage.state.projects.by_id[ID].polled is False


def test_a_project_that_is_at_work_without_frames_is_polled_until_its_end(stage: Stage) -> None:
    project = stage.project(ID)
    working = {"workerJobs": [{"imgID": JOB, "status": "jobStarted"}]}
    done = {"completedWorkerJobs": [{"imgID": JOB, "status": "jobCompleted", "resultUrl": "u"}]}
    stage.play(poll(ID), ("pause 0.5 ±20%", None), known("processing", **working),
               ("pause 0.75 ±20%", None), known("completed", **done), ("pause 1.125 ±20%", None))  # fmt: skip
    assert (project.polled, project.settled, project.result_urls) == (True, True, ["u"])
