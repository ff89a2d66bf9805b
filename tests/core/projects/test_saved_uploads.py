"""Saved uploads: what is sent for a file that the service keeps, and when it is uploaded as usual."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve

from sogni.core.flow import Change, Until
from sogni.core.projects.assets import bind_upload, capabilities, remove_upload, save_upload, saved_uploads
from sogni.core.projects.create import create_project
from sogni.core.projects.saved_uploads import MAX_SAVED_BYTES, SAVED_TYPES, can_be_saved
from sogni.core.projects.transfers import upload_media
from sogni.core.projects.upload_library import UploadLibrary
from sogni.core.projects.uploads import UploadItem
from sogni.core.shared_requests import SharedRequest, SharedRequests
from sogni.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    ServerError,
    SogniConnectionError,
    ValidationError,
)
from sogni.models.saved_uploads import SavedUpload, SavedUploadCapabilities, SavedUploadLimits, SavedUploadList
from sogni.settings import RetryPolicy
from tests.core.play import MODEL, PNG, STOP, Source, Stage, ok, refused

SHA256 = hashlib.sha256(PNG).hexdigest()
WIRE = {
    "id": "a1",
    "name": "Saved upload",
    "bytes": len(PNG),
    "contentType": "image/png",
    "state": "ready",
    "createdAt": 1_800_000_000_000,
    "expiresAt": 1_802_592_000_000,
}
RECORD = SavedUpload(
    id="a1",
    name="Saved upload",
    bytes=len(PNG),
    content_type="image/png",
    state="ready",
    created_at=datetime.fromtimestamp(1_800_000_000, UTC),
    expires_at=datetime.fromtimestamp(1_802_592_000, UTC),
)
URL = "https://store/a1?X-Amz-Signature=0123456789abcdef"
HEADERS = {"Content-Type": "image/png", "If-None-Match": "*"}
NEW = {**WIRE, "state": "uploading", "uploadUrl": URL, "uploadHeaders": HEADERS}

ASK = "GET rest/v1/assets/capabilities"
CAN = (ASK, ok({"enabled": True}))
PREPARE, FINALIZE, BIND = (f"POST rest/v1/assets/{path}" for path in ("prepare", "a1/finalize", "a1/bind"))
PUT = f"PUT the bytes given as starting_image to {URL}"
READY = (PREPARE, ok(WIRE))
BOUND = (BIND, ok({}))
SENT = ("frame jobRequest", None)
SAVED = [(PREPARE, ok(NEW)), (PUT, ok()), (FINALIZE, ok(WIRE))]


@pytest.fixture
def stage() -> Stage:
    return Stage(saved_uploads=True, retry=RetryPolicy(attempts=1)).connects().knows_models()


def create(**fields: Any) -> Any:
    return create_project(None, {"type": "image", "model_id": MODEL, "starting_image": PNG, **fields})


def usual(stage: Stage, project: str, image: str) -> list[tuple[str, Any]]:
    """The steps of an upload with a signed URL."""
    query = f"imageId={image}&jobId={project}&type=startingImage&contentType=image%2Fpng"
    where = f"https://store/{project}"
    put = f"PUT the bytes given as starting_image to {where}"
    return [(f"GET rest/v1/image/uploadUrl?{query}", ok({"uploadUrl": where})), (put, ok()), SENT]


# -- creating ----------------------------------------------------------------------


def test_a_new_file_is_prepared_transferred_finalized_and_bound(stage: Stage) -> None:
    stage.play(create(), CAN, *SAVED, BOUND, SENT)
    _, prepare, put, finalize, bind = stage.calls
    body = {"sha256": SHA256, "bytes": len(PNG), "contentType": "image/png", "name": "Saved upload"}
    assert (prepare.body, finalize.body) == (body, {})
    assert bind.body == {"projectId": "ID-1", "type": "startingImage"}
    assert (put.path, put.host, put.redirects) == (URL, "storage", False)
    assert put.headers == {**HEADERS, "Content-Length": str(len(PNG))}
    assert stage.sources[0].closed


def test_a_length_among_the_headers_of_the_service_is_not_added_again(stage: Stage) -> None:
    headers = {**HEADERS, "content-length": str(len(PNG))}
    stage.play(create(), CAN, (PREPARE, ok({**NEW, "uploadHeaders": headers})), *SAVED[1:], BOUND, SENT)
    assert stage.calls[2].headers == headers


def test_no_repr_shows_the_url_or_the_headers_of_a_transfer(stage: Stage) -> None:
    headers = {**HEADERS, "x-amz-security-token": "a-secret-token"}
    stage.play(create(), CAN, (PREPARE, ok({**NEW, "uploadHeaders": headers})), *SAVED[1:], BOUND, SENT)
    put = stage.calls[2]
    assert "0123456789abcdef" not in repr([put, put.path])
    assert "a-secret-token" not in repr([put, dict(put.headers)])


def test_a_file_that_the_service_has_is_only_bound(stage: Stage) -> None:
    stage.play(create(), CAN, READY, BOUND, SENT)
    stage.play(create(), READY, BOUND, SENT)


def test_content_that_is_already_there_counts_as_transferred(stage: Stage) -> None:
    stage.play(create(), CAN, SAVED[0], (PUT, refused(412)), SAVED[2], BOUND, SENT)


def test_a_transfer_is_repeated_after_a_passing_failure(stage: Stage) -> None:
    stage = Stage(saved_uploads=True).connects().knows_models()
    broken = [(PUT, SogniConnectionError("broken")), ("pause 0.25 ±20%", None)]
    stage.play(create(), CAN, SAVED[0], *broken, *SAVED[1:], BOUND, SENT)


def test_numbered_media_are_bound_with_their_number(stage: Stage) -> None:
    mp3 = Source("a.mp3", b"ID3" + bytes(40))
    mp3.content_type = "audio/mpeg"
    item = UploadItem(role="referenceAudio", field="reference_audios[1]", media=b"", id="referenceAudio2")
    stage.play(upload_media("P", [[(item, mp3)]]), CAN, READY, BOUND)
    assert stage.calls[-1].body == {"projectId": "P", "type": "referenceAudio", "id": "referenceAudio2"}


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 503])
def test_a_refused_preparation_leads_to_the_usual_upload(stage: Stage, status: int) -> None:
    stage.play(create(), CAN, (PREPARE, refused(status, "a conflict")), *usual(stage, "ID-1", "ID-2"))
    stage.play(create(), READY, BOUND, SENT)


def test_a_full_library_is_left_alone_for_a_quarter_of_an_hour(stage: Stage) -> None:
    full = (PREPARE, refused(409, "Your library is full"))
    stage.play(create(), CAN, full, *usual(stage, "ID-1", "ID-2"))
    stage.passes(899).play(create(), *usual(stage, "ID-3", "ID-4"))
    stage.passes(2).play(create(), CAN, READY, BOUND, SENT)


def test_removing_a_file_ends_the_pause_of_a_full_library(stage: Stage) -> None:
    stage.play(create(), CAN, (PREPARE, refused(409, "The library is FULL.")), *usual(stage, "ID-1", "ID-2"))
    stage.play(remove_upload("a/1"), ("DELETE rest/v1/assets/a%2F1", ok({})))
    stage.play(create(), READY, BOUND, SENT)


LATER: dict[str, tuple[type[ApiError], list[tuple[str, Any]]]] = {
    "prepare": (RateLimitError, [(PREPARE, refused(429))]),
    "transfer": (PermissionDeniedError, [SAVED[0], (PUT, refused(403))]),
    "redirect": (ApiError, [SAVED[0], (PUT, refused(307, location="https://elsewhere"))]),
    "finalize": (NotFoundError, [*SAVED[:2], (FINALIZE, refused(404))]),
    "bind": (ConflictError, [READY, (BIND, refused(409))]),
}


@pytest.mark.parametrize("place", LATER)
def test_other_failures_end_the_project_and_name_its_field(stage: Stage, place: str) -> None:
    kind, steps = LATER[place]
    error = stage.fail(kind, create(), CAN, *steps)
    assert error.__notes__ == ["while uploading starting_image"]
    assert (stage.frames, stage.state.projects.by_id, stage.sources[0].closed) == ([], {}, True)


def test_an_unknown_saved_file_is_named_in_the_error(stage: Stage) -> None:
    reply = evolve(refused(404, "not found"), url="https://rest/v1/assets/a1/bind")
    assert "a1" in str(stage.fail(NotFoundError, create(), CAN, READY, (BIND, reply)))


def test_a_busy_file_is_waited_for_four_times(stage: Stage) -> None:
    busy = refused(423)
    pauses = [(f"pause {seconds}", None) for seconds in (0.25, 0.5, 1, 2)]
    waits = [step for pause in pauses for step in ((PREPARE, busy), pause)]
    stage.play(create(), CAN, *waits, READY, (BIND, busy), pauses[0], BOUND, SENT)
    assert stage.fail(ApiError, create(), *waits, (PREPARE, busy)).status == 423


# -- what is not saved -------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404, 503])
def test_without_the_capability_files_are_uploaded_as_usual(stage: Stage, status: int) -> None:
    stage.play(create(), (ASK, refused(status)), *usual(stage, "ID-1", "ID-2"))
    stage.passes(59).play(create(), *usual(stage, "ID-3", "ID-4"))
    stage.passes(2).play(create(), (ASK, ok({"enabled": False})), *usual(stage, "ID-5", "ID-6"))


def test_another_failure_of_the_capability_ends_the_project_and_is_not_kept(stage: Stage) -> None:
    stage.fail(ServerError, create(), (ASK, refused(500)))
    stage.play(create(), CAN, READY, BOUND, SENT)


def test_the_capability_is_requested_again_after_a_passing_failure() -> None:
    stage = Stage(saved_uploads=True)
    found = stage.play(capabilities(), (ASK, refused(500)), ("pause 0.25 ±20%", None), CAN)
    assert found == SavedUploadCapabilities(enabled=True)


@pytest.mark.parametrize("data", [{}, {"enabled": None}, {"enabled": "yes"}])
def test_the_capability_must_be_stated(stage: Stage, data: Any) -> None:
    assert not stage.play(capabilities(), (ASK, ok(data))).enabled


def test_other_types_and_sizes_are_not_saved() -> None:
    assert can_be_saved("image/png", 1)
    assert can_be_saved("audio/wave", MAX_SAVED_BYTES)
    for content_type, size in (("image/gif", 9), (None, 9), ("image/png", 0), ("image/png", MAX_SAVED_BYTES + 1)):
        assert not can_be_saved(content_type, size)


def test_the_types_are_those_of_the_service() -> None:
    images = {f"image/{kind}" for kind in ("png", "jpeg", "webp")}
    videos = {f"video/{kind}" for kind in ("mp4", "quicktime", "webm")}
    sounds = {f"audio/{kind}" for kind in ("mp4", "mpeg", "flac", "wav", "x-wav", "wave")}
    assert images | videos | sounds == SAVED_TYPES


def test_a_file_that_is_not_saved_needs_no_question(stage: Stage) -> None:
    gif = Source("a.gif", b"GIF89a" + bytes(40))
    gif.content_type = "image/gif"
    item = UploadItem(role="startingImage", field="starting_image", media=b"")
    query = "imageId=ID-1&jobId=P&type=startingImage&contentType=image%2Fgif"
    asked = (f"GET rest/v1/image/uploadUrl?{query}", ok({"uploadUrl": "https://store/up"}))
    stage.play(upload_media("P", [[(item, gif)]]), asked, ("PUT a.gif to https://store/up", ok()))


# -- several at a time -------------------------------------------------------------


def waiting(stage: Stage, flow: Any) -> Until:
    """The step with which a flow waits for another."""
    step = next(flow)
    while not isinstance(step, Until) or step.found(stage.state) is not None:
        answer = step.function(stage.state, stage.now) if isinstance(step, Change) else _outcome(stage, step)
        step = flow.send(answer)
    return step


def _outcome(stage: Stage, step: Any) -> Any:
    return step.found(stage.state) if isinstance(step, Until) else stage._perform(step)


def finish(stage: Stage, flow: Any, outcome: Any, *script: tuple[str, Any]) -> Any:
    def rest() -> Any:
        try:
            step = flow.send(outcome)
            while True:
                step = flow.send((yield step))
        except StopIteration as end:
            return end.value

    return stage.play(rest(), *script)


def test_equal_files_are_saved_once(stage: Stage) -> None:
    other = save_upload(PNG, "another name")

    def meanwhile(stage: Stage) -> Any:
        waits.append(waiting(stage, other))
        return ok(NEW)

    waits: list[Until] = []
    put = f"PUT the bytes given as media to {URL}"
    assert stage.play(save_upload(PNG, "x"), (PREPARE, meanwhile), (put, ok()), SAVED[2]) == RECORD
    assert finish(stage, other, waits[0].found(stage.state)) == RECORD


def test_two_files_are_saved_at_a_time(stage: Stage) -> None:
    second, third = (save_upload(PNG + number, "x") for number in (b"2", b"3"))

    def meanwhile(stage: Stage) -> Any:
        stage.play_inside(second, (PREPARE, third_waits))
        return ok(WIRE)

    def third_waits(stage: Stage) -> Any:
        waits.append(waiting(stage, third))
        return ok(WIRE)

    waits: list[Until] = []
    stage.play(save_upload(PNG, "x"), (PREPARE, meanwhile))
    assert waits[0].waiting_for == "other uploads"
    assert waits[0].topics[0] in stage.state.out.woken
    assert finish(stage, third, waits[0].found(stage.state), READY) == RECORD


def test_an_interrupted_upload_makes_room_for_others(stage: Stage) -> None:
    for number in range(3):
        stage.play(save_upload(PNG + bytes([number]), "x"), (PREPARE, STOP))
    assert stage.play(save_upload(PNG, "x"), READY) == RECORD


def test_an_upload_can_be_dropped_while_it_waits(stage: Stage) -> None:
    def meanwhile(stage: Stage) -> Any:
        dropped = save_upload(PNG + b"2", "x")
        stage.state.upload_library.arrive(object())
        waiting(stage, dropped)
        dropped.close()
        return ok(WIRE)

    assert stage.play(save_upload(PNG, "x"), (PREPARE, meanwhile)) == RECORD


def test_an_upload_that_never_arrived_leaves_nothing() -> None:
    library = UploadLibrary(0)
    library.leave(object())
    library.arrive(first := object())
    assert library.may_run(first)


def test_a_shared_request_is_only_ended_by_its_sender() -> None:
    requests, own = SharedRequests(), SharedRequest()
    assert requests.join("x", own) is own
    requests.settle("x", SharedRequest())
    assert requests.join("x", SharedRequest()) is own


# -- another account ---------------------------------------------------------------


@pytest.mark.parametrize("signed_in", [True, False])
def test_a_change_of_the_account_ends_an_upload(stage: Stage, signed_in: bool) -> None:
    def change(stage: Stage) -> Any:
        stage.state.account.reset() if signed_in else stage.state.session.sign_out()
        return ok()

    error = stage.fail(AuthenticationError, create(), CAN, SAVED[0], (PUT, change))
    assert ("another account" in error.message) is signed_in
    assert stage.frames == []


def test_another_account_starts_anew(stage: Stage) -> None:
    stage.play(create(), CAN, (PREPARE, refused(409, "full")), *usual(stage, "ID-1", "ID-2"))
    stage.state.account.reset()
    assert stage.play(capabilities(), CAN).enabled
    assert stage.play(save_upload(PNG, "x"), READY) == RECORD


# -- malformed responses -----------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {**NEW, "id": None},
        {**NEW, "uploadUrl": None},
        {**NEW, "uploadHeaders": ["a"]},
        {**NEW, "uploadHeaders": {"a": 5}},
        {**NEW, "uploadHeaders": {"a b": "c"}},
        {**NEW, "uploadHeaders": {"a": "c\r\nd"}},
        {**WIRE, "state": "uploading"},
    ],
)
def test_a_malformed_preparation_is_a_protocol_error_without_the_url(stage: Stage, data: Any) -> None:
    error = stage.fail(ProtocolError, create(), CAN, (PREPARE, ok(data)))
    assert "0123456789abcdef" not in f"{error!r}{error}"


# -- by hand -----------------------------------------------------------------------


def test_saved_files_are_listed_with_the_limits(stage: Stage) -> None:
    limits = dict.fromkeys(("entries", "bytes", "fileBytes", "idleDays", "copyBytesPerDay", "bindingsPerDay"), 7)
    expected = SavedUploadList(
        assets=[evolve(RECORD, extra={"hint": 1})],
        limits=SavedUploadLimits(
            entries=7, bytes=7, file_bytes=7, idle_days=7, copy_bytes_per_day=7, bindings_per_day=7
        ),
    )
    sent = {"assets": [{**WIRE, "hint": 1}], "limits": limits}
    found = stage.play(saved_uploads(), ("GET rest/v1/assets", ok(sent)))
    assert (found, len(found), [*found]) == (expected, 1, expected.assets)


def test_a_file_is_saved_under_a_name(stage: Stage) -> None:
    assert stage.play(save_upload(PNG, "A photo"), READY) == RECORD
    assert stage.calls[0].body["name"] == "A photo"
    assert stage.sources[0].closed


def test_a_file_that_the_service_does_not_keep_is_an_error(stage: Stage) -> None:
    stage.fail(ConflictError, save_upload(PNG, "x"), (PREPARE, refused(409, "full")))
    assert stage.play(save_upload(PNG, "x"), READY) == RECORD


@pytest.mark.parametrize("media", [b"GIF89a" + bytes(40), b"no media at all"])
def test_a_file_of_another_type_is_refused_before_anything_is_sent(stage: Stage, media: bytes) -> None:
    error = stage.fail(ValidationError, save_upload(media, "x"))
    assert (error.field, stage.calls, stage.sources[0].closed) == ("media", [], True)


def test_a_saved_file_is_bound_to_a_project(stage: Stage) -> None:
    stage.play(bind_upload("a1", project_id="P", type="startingImage", id=None), BOUND)
    stage.play(bind_upload("a1", project_id="P", type="referenceAudio", id="referenceAudio1"), BOUND)
    bodies = [call.body for call in stage.calls]
    assert bodies == [
        {"projectId": "P", "type": "startingImage"},
        {"projectId": "P", "type": "referenceAudio", "id": "referenceAudio1"},
    ]


@pytest.mark.parametrize("bad", ["", " ", None, 5])
def test_arguments_are_checked_before_anything_is_sent(stage: Stage, bad: Any) -> None:
    given = {"asset_id": "a1", "project_id": "P", "type": "startingImage", "id": "x"}
    for name in given:
        if name == "id" and bad is None:
            continue
        assert stage.fail(ValidationError, bind_upload(**{**given, name: bad})).field == name
    assert stage.fail(ValidationError, remove_upload(bad)).field == "asset_id"
    assert stage.fail(ValidationError, save_upload(PNG, bad)).field == "name"
    assert stage.calls == []
