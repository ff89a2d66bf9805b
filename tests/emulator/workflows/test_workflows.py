"""Durable workflows: records, events, order of steps, refusals, and outcomes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import as_image, distance, opened, picture
from tests.emulator.wire import Payload, Wire, new_id
from tests.emulator.workflows.helpers import (
    FILM,
    ROOT,
    SMALL,
    ended,
    frames,
    get,
    plan,
    run,
    start,
    step,
    still,
    takes,
)


def content(wire: Wire, artifact: Payload) -> bytes:
    return bytes(wire.http.get(artifact["url"], timeout=30).content)


def statuses(record: Payload) -> dict[str, str]:
    return {entry["id"]: entry["status"] for entry in record["steps"]}


def test_a_video_from_an_image_two_clips_and_music(wire: Wire) -> None:
    record = run(wire, *FILM)
    assert (record["status"], set(statuses(record).values())) == ("completed", {"completed"})
    by_step = {entry["id"]: entry["artifacts"] for entry in record["steps"]}
    image = as_image(content(wire, by_step["still"][0]))
    clip, film = (opened(content(wire, by_step[name][0])) for name in ("clip", "film"))
    assert distance(clip.frames[0], image) < 12
    assert len(film.frames) == 2 * len(clip.frames)
    assert film.samples is not None
    assert len(record["artifacts"]) == 5


def test_the_record_has_the_documented_fields(wire: Wire) -> None:
    record = run(wire, still(), token_type="spark", safe_content_filter=False)
    assert {"workflowId", "title", "status", "input", "plan", "steps", "events", "artifacts"} <= set(record)
    assert record["title"] == "Kite"
    assert record["input"]["steps"][0]["toolName"] == "generate_image"
    assert record["safeContentFilter"] is False
    assert record["createTime"] <= record["updateTime"]
    assert record["createdAt"].endswith("Z")
    artifact = record["artifacts"][0]
    assert (artifact["mediaType"], artifact["mimeType"], artifact["width"]) == ("image", "image/png", 256)
    assert record["billingPreview"]["totalEstimatedCapacityUnits"] >= 1
    assert record["billingPreviews"] == [record["billingPreview"]]


def test_a_workflow_is_queued_when_it_is_answered_and_paid_when_it_has_run(wire: Wire, supernet: LocalSupernet) -> None:
    before = supernet.account.balance.spark
    record = start(wire, plan(still()))
    assert record["status"] == "queued"
    record = ended(wire, record["workflowId"])
    assert before - supernet.account.balance.spark == Decimal(record["costActual"]) > 0


def test_events_are_complete_and_streams_repeat_them(wire: Wire) -> None:
    record = run(wire, still())
    listed = wire.data(f"{ROOT}/{record['workflowId']}/events")["events"]
    assert [event["type"] for event in listed] == [
        "workflow_status",
        "billing_preview",
        "workflow_status",
        "step_started",
        "step_completed",
        "workflow_status",
    ]
    told = [event["status"] for event in listed if event["type"] == "workflow_status"]
    assert told == ["queued", "running", "completed"]
    streamed = frames(wire, record["workflowId"])
    assert [frame["id"] for frame in streamed] == [1, 2, 3, 4, 5, 6]
    assert [frame["data"].get("status") for frame in streamed] == ["queued", None, "running", None, None, "completed"]
    assert all(frame["data"]["workflowId"] == record["workflowId"] for frame in streamed)
    assert streamed[4]["data"]["artifacts"][0]["url"].startswith("http")


def test_a_cut_stream_can_be_resumed(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.cut_stream("*/events/stream", after_events=1, truncate=True, times=5)
    name = start(wire, plan(still()))["workflowId"]
    seen: list[Payload] = []
    while not seen or seen[-1]["data"].get("status") != "completed":
        last = {"headers": {"Last-Event-ID": str(seen[-1]["id"])}} if seen else {}
        seen += frames(wire, name, **last)
    assert [frame["id"] for frame in seen] == [1, 2, 3, 4, 5, 6]
    assert [frame["id"] for frame in frames(wire, name, after=4)] == [5, 6]


def test_independent_steps_run_side_by_side(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    name = start(
        wire, plan(still("one"), still("two"), step("both", "analyze_image", takes("two", "image_url", "image_url")))
    )
    supernet.wait_for(
        lambda: list(statuses(get(wire, name["workflowId"])).values()) == ["running", "running", "pending"]
    )
    supernet.resume_workers()
    assert ended(wire, name["workflowId"])["status"] == "completed"


def test_the_same_seed_makes_the_same_and_reseeding_another(wire: Wire) -> None:
    record = run(wire, still(), still("fixed", seed=5))
    reply = wire.ask("POST", f"{ROOT}/{record['workflowId']}/reseed", {"seed_overrides": {"fixed": 5}})
    assert reply.status_code == 202
    data = reply.json()["data"]
    assert data["reseed"]["cloned_from_run_id"] == record["workflowId"]
    assert {"stepId": "fixed", "seed": 5} in data["reseed"]["steps"]
    take = ended(wire, data["workflow"]["workflowId"])
    files = [[content(wire, entry["artifacts"][0]) for entry in found["steps"]] for found in (record, take)]
    assert files[0][0] != files[1][0]
    assert files[0][1] == files[1][1]


def test_a_key_starts_once(wire: Wire) -> None:
    first = start(wire, plan(still()), Idempotency_Key="k1")
    again = wire.ask("POST", ROOT, plan(still()), Idempotency_Key="k1").json()["data"]
    assert (again["workflow"]["workflowId"], again["idempotent"]) == (first["workflowId"], True)
    assert start(wire, plan(still()))["workflowId"] != first["workflowId"]
    ended(wire, first["workflowId"])
    path = f"{ROOT}/{first['workflowId']}/reseed"
    takes_of = [wire.ask("POST", path, {}, Idempotency_Key="k1").json()["data"] for _ in range(2)]
    assert takes_of[0]["workflow"]["workflowId"] == takes_of[1]["workflow"]["workflowId"] != first["workflowId"]
    assert [data.get("idempotent") for data in takes_of] == [None, True]


def test_a_failed_step_takes_its_dependents_with_it(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job()
    clip = step("clip", "animate_photo", takes("still", "sourceImageIndex", "image_index"), prompt="sway")
    words = step("words", "finalize_response", message="done")
    record = run(wire, still(), clip, words)
    assert record["status"] == "partial_failure"
    assert statuses(record) == {"still": "failed", "clip": "skipped", "words": "completed"}
    assert record["error"]["message"] == "The image could not be generated"
    assert frames(wire, record["workflowId"])[-1]["data"]["status"] == "partial_failure"


def test_a_run_with_nothing_to_show_has_failed(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job()
    assert run(wire, still())["status"] == "failed"


def test_an_optional_source_may_fail(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job()
    optional = takes("still", "sourceImageIndex", "image_index", required=False)
    record = run(wire, still(), step("other", "generate_image", optional, prompt="a boat", **SMALL))
    assert statuses(record) == {"still": "failed", "other": "completed"}


def test_canceling_stops_rendering(wire: Wire, supernet: LocalSupernet) -> None:
    before = supernet.account.balance.spark
    supernet.pause_workers()
    name = start(wire, plan(still()))["workflowId"]
    supernet.wait_for(lambda: supernet.projects)
    reply = wire.ask("POST", f"{ROOT}/{name}/cancel")
    assert reply.json()["data"]["workflow"]["status"] == "cancelled"
    assert supernet.projects[0]["status"] == "canceled"
    assert supernet.account.balance.spark == before
    assert frames(wire, name)[-1]["data"]["status"] == "cancelled"
    assert wire.ask("POST", f"{ROOT}/{name}/cancel").json()["data"]["workflow"]["status"] == "cancelled"


def test_a_question_waits_until_it_is_resumed(wire: Wire) -> None:
    record = run(wire, step("ask", "ask_clarifying_question", question="Which colour?"), still())
    assert (record["status"], record["waitingReason"]) == ("waiting_for_user", "ask_clarifying_question")
    assert "awaitingCostApproval" not in record
    assert statuses(record) == {"ask": "waiting_for_user", "still": "completed"}
    data = wire.ask("POST", f"{ROOT}/{record['workflowId']}/resume", {}).json()["data"]
    assert data["resumed"] is True
    assert ended(wire, record["workflowId"])["status"] == "completed"
    assert wire.ask("POST", f"{ROOT}/{record['workflowId']}/resume", {}).json()["data"]["resumed"] is False


def test_an_unconfirmed_cost_has_to_be_approved(wire: Wire, supernet: LocalSupernet) -> None:
    before = supernet.account.balance.spark
    record = run(wire, still(), confirm_cost=False)
    assert (record["waitingReason"], record["awaitingCostApproval"]) == ("cost_approval_required", True)
    assert supernet.account.balance.spark == before
    path = f"{ROOT}/{record['workflowId']}/confirm-cost"
    assert wire.ask("POST", path, {"decision": "maybe"}).status_code == 400
    assert wire.ask("POST", path, {"decision": "confirm"}).status_code == 200
    assert ended(wire, record["workflowId"])["status"] == "completed"
    assert wire.ask("POST", path, {"decision": "confirm"}).status_code == 409


def test_a_refused_cost_cancels(wire: Wire) -> None:
    record = run(wire, still(), confirm_cost=False)
    wire.ask("POST", f"{ROOT}/{record['workflowId']}/confirm-cost", {"decision": "cancel"})
    assert get(wire, record["workflowId"])["status"] == "cancelled"


def test_a_run_without_funds_waits(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    name = start(
        wire, plan(still(), step("more", "edit_image", takes("still", "sourceImageIndex", "image_index"), prompt="b"))
    )
    supernet.wait_for(lambda: supernet.projects)
    supernet.account.set_balance(spark=0)
    supernet.resume_workers()
    assert ended(wire, name["workflowId"])["waitingReason"] == "insufficient_credit"
    supernet.account.set_balance(spark=100)
    wire.ask("POST", f"{ROOT}/{name['workflowId']}/resume", {})
    assert ended(wire, name["workflowId"])["status"] == "completed"


def test_media_of_the_request_can_be_used(wire: Wire) -> None:
    job, image = new_id(), picture("navy", (128, 128))
    wire.upload(job, "startingImage", image)
    url = wire.data("/v1/image/downloadUrl", imageId=new_id(), jobId=job, type="startingImage")["downloadUrl"]
    edit = step("edit", "edit_image", takes("$input_media", "source_image_url", "image_url"), prompt="brighter")
    record = run(wire, edit, media_references=[{"url": url, "mediaType": "image"}])
    assert record["status"] == "completed", record
    assert distance(as_image(content(wire, record["artifacts"][0])), as_image(image)) < 110


@pytest.mark.parametrize(
    ("transform", "target", "tool", "arguments"),
    [
        ("artifact_url", "source_image_url", "edit_image", {"prompt": "a"}),
        ("artifact_data_uri", "source_image_url", "edit_image", {"prompt": "a"}),
        ("image_url", "reference_image_urls", "edit_image", {"prompt": "a"}),
        ("image_index", "sourceImageIndex", "edit_image", {"prompt": "a"}),
        ("image_index", "referenceImageIndices", "generate_video", {"prompt": "a", "duration": 2}),
        ("asset_ref", "asset", "inspect_asset", {}),
    ],
)
def test_transforms_of_images(wire: Wire, transform: str, target: str, tool: str, arguments: Payload) -> None:
    record = run(wire, still(), step("next", tool, takes("still", target, transform), **arguments))
    assert record["status"] == "completed", record["error"]


def test_transforms_of_videos_words_and_overlays(wire: Wire) -> None:
    words = step("words", "finalize_response", message="1\n00:00:00,000 --> 00:00:01,000\nup\n")
    clip = step("clip", "generate_video", prompt="a kite", duration=2, width=640, height=640)
    cues = takes("words", "cues", "subtitle_cues")
    subtitled = step("cues", "add_subtitles", takes("clip", "sourceVideoIndex", "video_index"), cues)
    srt = step("srt", "add_subtitles", takes("clip", "video_url", "video_url"), takes("words", "srt", "subtitle_srt"))
    overlay = step(
        "logo",
        "overlay_video",
        takes("clip", "sourceVideoIndex", "video_index"),
        takes("still", "overlays", "overlay_items"),
    )
    record = run(wire, still(), words, clip, subtitled, srt, overlay)
    assert record["status"] == "completed", record["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "input and workflow_id"),
        (plan(still(), workflow_id="x"), "input and workflow_id"),
        ({"input": {"steps": []}}, "input.steps must have at least 1"),
        ({"input": {"title": 3, "steps": [still()]}}, "title"),
        (plan(step("a", "paint_house")), "unknown tool"),
        (plan(step("a", "enhance_prompt", prompt="a")), "unknown tool"),
        (plan(step("a", "generate_image")), "prompt"),
        (plan(still("a"), still("a")), "the id of step 0"),
        (plan(still("$input_media")), "is reserved for the media"),
        (
            plan(step("a", "edit_image", takes("b", "sourceImageIndex", "image_index"), prompt="x")),
            "not an earlier step",
        ),
        (plan(still("a"), step("b", "edit_image", takes("a", "sourceImageIndex", "magic"), prompt="x")), "transform"),
        (plan(step("a", "edit_image", takes("$input_media", "x", "image_url"), prompt="x")), "media references"),
        (plan(step("a", "edit_image", prompt="x", source_image_url="data:image/png;base64,AA")), "inline data"),
        (plan(still(), media_references=[{"url": "data:image/png;base64,AA"}]), "media_references[0].url"),
        (plan(still(), token_type="gold"), "token_type"),
        ({"input": "a plan"}, "input must be an object"),
        ({"input": {"steps": [3]}}, "steps[0] must be an object"),
        (plan(*(still(f"s{number}") for number in range(65))), "at most 64"),
        (plan({"id": " ", "toolName": "generate_image", "arguments": {"prompt": "a"}}), "steps[0].id"),
        (plan({"toolName": 3}), "toolName must be a string"),
        (
            plan({"toolName": "generate_image", "arguments": {"prompt": "a"}, "dependsOn": {}}),
            "dependsOn must be a list",
        ),
        (plan(still("a"), {**still("b"), "dependsOn": [1]}), "dependsOn[0] must be an object"),
        (plan(still("a"), step("b", "edit_image", takes("a", "", "image_url"), prompt="x")), "targetArgument"),
        (plan(still("a"), step("b", "edit_image", takes("a", "x", "image_url", mediaType="smell"))), "mediaType"),
        (
            plan(still("a"), step("b", "edit_image", takes("a", "x", "image_url", sourceArtifactIndex=-1))),
            "ArtifactIndex",
        ),
        (plan(still(), media_references={}), "must be a list"),
        (plan(still(), media_references=["x"]), "media_references[0] must be an object"),
        (plan(still(), media_references=[{"url": "http://a.test", "dataUri": "x"}]), "must not contain inline data"),
        (plan(still(), max_estimated_capacity_units="1"), "max_estimated_capacity_units"),
        (plan(step("a", "video_to_video", prompt="x", controlMode="magic")), "controlMode"),
        (plan(still(), confirm_cost="yes"), "confirm_cost"),
        (plan(still(), max_estimated_capacity_units=0), "capacity units"),
        (plan({"id": "a", "toolName": "generate_image", "arguments": []}), "arguments must be an object"),
    ],
)
def test_invalid_requests_are_refused(wire: Wire, body: Payload, said: str) -> None:
    reply = wire.ask("POST", ROOT, body)
    assert (reply.status_code, reply.json()["status"]) == (400, "error")
    assert said in reply.json()["message"]


def test_a_body_that_is_not_a_json_object_is_refused(wire: Wire) -> None:
    assert wire.ask("POST", ROOT, [1]).status_code == 400
    reply = wire.http.post(wire.supernet.rest_endpoint + ROOT, data="{", headers=wire.headers, timeout=30)
    assert (reply.status_code, reply.json()["message"]) == (400, "The body is not JSON")


def test_a_missing_dependency_fails_its_step(wire: Wire) -> None:
    clip = step("clip", "edit_image", takes("still", "source_image_url", "video_url"), prompt="x")
    record = run(wire, still(), clip)
    assert record["steps"][1]["error"]["code"] == "DEPENDENCY_MISSING"
    second = takes("still", "sourceImageIndex", "image_index", sourceArtifactIndex=1)
    record = run(wire, still(numberOfVariations=2), step("clip", "edit_image", second, prompt="x"))
    assert record["status"] == "completed", record["error"]


def test_media_that_cannot_be_fetched_fail_the_run(wire: Wire) -> None:
    record = run(wire, still(), media_references=[{"url": "http://127.0.0.1:9/x.png"}])
    assert (record["status"], record["error"]["code"]) == ("failed", "MEDIA_NOT_FOUND")


def test_a_key_reused_with_another_body_is_a_violation(wire: Wire, supernet: LocalSupernet) -> None:
    first = start(wire, plan(still()), Idempotency_Key="k")
    again = wire.ask("POST", ROOT, plan(still("other")), Idempotency_Key="k").json()["data"]["workflow"]
    assert again["workflowId"] == first["workflowId"]
    assert any("a different body" in violation.message for violation in supernet.violations)


def test_a_workflow_beyond_the_balance_is_not_started(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.account.set_balance(spark=0)
    reply = wire.ask("POST", ROOT, plan(still()))
    assert (reply.status_code, reply.json()["errorCode"]) == (402, 123)


def test_there_is_a_limit_of_active_workflows() -> None:
    with LocalSupernet(step_time=0, workflow_limit=1) as supernet, Wire(supernet) as wire:
        supernet.pause_workers()
        first = start(wire, plan(still()))["workflowId"]
        reply = wire.ask("POST", ROOT, plan(still()))
        assert reply.status_code == 409
        assert reply.json()["details"] == {"activeWorkflows": 1, "activeWorkflowLimit": 1}
        supernet.resume_workers()
        ended(wire, first)
        start(wire, plan(still()))


def test_only_runs_with_results_can_be_reseeded(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job()
    failed = run(wire, still())["workflowId"]
    assert wire.ask("POST", f"{ROOT}/{failed}/reseed", {}).status_code == 409
    done = run(wire, still())["workflowId"]
    for overrides in ({"nobody": 1}, {"still": -1}, []):
        assert wire.ask("POST", f"{ROOT}/{done}/reseed", {"seed_overrides": overrides}).status_code in (400, 202)
    assert wire.ask("POST", f"{ROOT}/{done}/reseed", {"seed_overrides": {"nobody": 1}}).status_code == 400


def test_records_belong_to_their_owner(wire: Wire, supernet: LocalSupernet) -> None:
    name = run(wire, still())["workflowId"]
    other = supernet.add_account("somebody", "a password", api_key="another-key")
    mine = dict(wire.headers)
    wire.headers["api-key"] = str(other.api_key)
    for method, path in (("GET", ""), ("GET", "/events"), ("GET", "/events/stream"), ("POST", "/cancel")):
        assert wire.ask(method, f"{ROOT}/{name}{path}").status_code == 404
    assert wire.data(ROOT)["workflows"] == []
    wire.headers = mine
    assert [record["workflowId"] for record in wire.data(ROOT)["workflows"]] == [name]


def test_lists_are_paged_newest_first(wire: Wire) -> None:
    ids = [run(wire, still())["workflowId"] for _ in range(3)]
    listed: list[Any] = wire.data(ROOT, limit="2", offset="1")["workflows"]
    assert [record["workflowId"] for record in listed] == [ids[1], ids[0]]
    assert wire.get(ROOT, limit="many").status_code == 400


def test_without_credentials_requests_are_refused(wire: Wire) -> None:
    wire.headers = {"api-key": "wrong"}
    assert wire.get(ROOT).status_code == 401


def test_a_plan_costs_what_was_estimated(wire: Wire) -> None:
    record = run(wire, *(it for it in FILM if it["id"] in ("still", "clip", "song")))
    assert record["billingPreview"]["estimatedCost"] == pytest.approx(float(record["costActual"]))


def test_a_bound_number_means_the_result_though_it_counts_uploads(wire: Wire) -> None:
    job = new_id()
    wire.upload(job, "startingImage", picture("navy", (640, 640)))
    url = wire.data("/v1/image/downloadUrl", imageId=new_id(), jobId=job, type="startingImage")["downloadUrl"]
    song = step("song", "generate_music", prompt="drums", duration=10)
    bound = takes("still", "sourceImageIndex", "image_index"), takes("song", "audioSourceIndex", "audio_index")
    clip = step("clip", "sound_to_video", *bound, prompt="sway", duration=2)
    record = run(wire, still(**SMALL), song, clip, media_references=[{"url": url, "mediaType": "image"}])
    made = {entry["id"]: content(wire, entry["artifacts"][0]) for entry in record["steps"]}
    assert distance(opened(made["clip"]).frames[0], as_image(made["still"])) < 12


def test_the_safety_filter_withholds_unless_it_is_off(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.flag_nsfw(times=2)
    assert "safety filter" in run(wire, still())["error"]["message"]
    assert run(wire, still(), safe_content_filter=False)["status"] == "completed"


def test_a_tool_can_be_made_to_fail(wire: Wire, supernet: LocalSupernet) -> None:
    fault = supernet.faults.fail_tool("finalize_response", code="BUSY", message="Not now")
    words = step("words", "finalize_response", message="done")
    record = run(wire, still(), words)
    assert (record["status"], record["error"]) == (
        "partial_failure",
        {"code": "BUSY", "message": "Not now", "stepId": "words"},
    )
    assert fault.fired == 1
    assert [entry["workflowId"] for entry in supernet.workflows] == [record["workflowId"]]


def test_lengths_of_newer_versions_are_taken(wire: Wire) -> None:
    long = plan(step("clip", "generate_video", prompt="a", duration=31))
    assert wire.ask("POST", ROOT, long).status_code == 400
    longer = plan(step("clip", "generate_video", prompt="a", duration=25, videoModel="seedance2-5"), confirm_cost=False)
    record = ended(wire, start(wire, longer)["workflowId"])
    assert record["waitingReason"] == "cost_approval_required"
