"""`/v1/images`, `/v1/audio/speech` and `/v1/videos`."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from urllib3.filepost import encode_multipart_formdata

from sogni.emulator import LocalSupernet
from sogni.serve.service import Service
from sogni.serve.videos import Videos
from tests.serve.asgi import KEY, Caller, Exchange, Reply

GENERATIONS, EDITS, SPEECH, VIDEOS = (
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/audio/speech",
    "/v1/videos",
)
VOICE = "qwen3_tts_1.7b_custom_voice_bf16"


def sent(supernet: LocalSupernet) -> list[dict[str, Any]]:
    """The project requests that arrived."""
    return [it.data for it in supernet.requests if getattr(it, "type", None) == "jobRequest"]


def picture(width: int = 64, height: int = 64) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(content, format="PNG")
    return content.getvalue()


def opened(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


async def form(call: Caller, path: str, fields: list[tuple[str, Any]]) -> Reply:
    body, kind = encode_multipart_formdata(fields)
    return await call("POST", path, body, content_type=kind)


def named(body: bytes) -> list[tuple[str, Any]]:
    """The events of a stream with their names."""
    blocks = [block.split("\n") for block in body.decode().removesuffix("\n\n").split("\n\n")]
    return [(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in blocks]


async def test_images_as_urls_and_as_base64(call: Caller, supernet: LocalSupernet) -> None:
    body = {"prompt": "a lighthouse", "n": 2, "size": "320x256", "output_format": "webp", "user": "someone"}
    reply = await call("POST", GENERATIONS, body)
    assert reply.status == 200, reply.body
    urls = [row["url"] for row in reply.json["data"]]
    assert len(urls) == 2
    assert reply.headers["x-sogni-project-id"] in urls[0]
    assert {name: reply.json[name] for name in ("size", "quality", "output_format", "background")} == {
        "size": "320x256",
        "quality": "auto",
        "output_format": "webp",
        "background": "auto",
    }
    reply = await call("POST", GENERATIONS, {**body, "n": 1, "response_format": "b64_json"})
    (row,) = reply.json["data"]
    with opened(row["b64_json"]) as image:
        assert (image.format, image.size) == ("WEBP", (320, 256))


async def test_quality_is_a_number_of_steps(call: Caller, supernet: LocalSupernet) -> None:
    for quality in ("auto", "low", "medium", "high", "hd", "standard"):
        reply = await call("POST", GENERATIONS, {"prompt": "a kite", "quality": quality, "size": "256x256"})
        assert reply.status == 200, reply.body
    steps = [request["keyFrames"][0].get("steps") for request in sent(supernet)]
    assert steps == [None, 4, None, 12, 12, None]
    reply = await call("POST", GENERATIONS, {"prompt": "a kite", "quality": "low", "sogni": {"steps": 5}})
    assert (reply.status, sent(supernet)[-1]["keyFrames"][0]["steps"]) == (200, 5)


async def test_parameters_of_sogni(call: Caller, supernet: LocalSupernet) -> None:
    body = {"prompt": "a kite", "size": "256x256", "sogni": {"seed": 7, "steps": 5, "negative_prompt": "clouds"}}
    assert (await call("POST", GENERATIONS, body)).status == 200
    (request,) = sent(supernet)
    frame = request["keyFrames"][0]
    assert (frame["seed"], frame["steps"], frame["negativePrompt"]) == (7, 5, "clouds")


async def test_edits_take_a_form_or_json(call: Caller, supernet: LocalSupernet) -> None:
    file = ("a.png", picture(), "image/png")
    reply = await form(call, EDITS, [("prompt", "at night"), ("image[]", file), ("image[]", file), ("n", "1")])
    assert reply.status == 200, reply.body
    body = {"prompt": "at night", "images": [{"image_url": URI}], "response_format": "b64_json"}
    reply = await call("POST", EDITS, body)
    assert reply.status == 200, reply.body
    assert opened(reply.json["data"][0]["b64_json"]).format == "PNG"


async def test_partial_images_are_streamed(call: Caller, supernet: LocalSupernet) -> None:
    supernet.faults.http("/storage/*/complete*", method="GET", delay=0.2)
    body = {"prompt": "a kite", "model": "z_image_turbo_bf16", "size": "256x256", "stream": True, "partial_images": 2}
    reply = await call("POST", GENERATIONS, {**body, "sogni": {"steps": 8}})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = named(reply.body)
    names = [name for name, _ in events]
    assert names[-1] == "image_generation.completed"
    assert set(names[:-1]) <= {"image_generation.partial_image"}
    assert [event["partial_image_index"] for _, event in events[:-1]] == list(range(len(events) - 1))
    assert opened(events[-1][1]["b64_json"]).size == (256, 256)
    assert all(name == event["type"] for name, event in events)


async def test_errors_in_a_stream_of_images(call: Caller, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job()
    reply = await call("POST", GENERATIONS, {"prompt": "a kite", "size": "256x256", "stream": True})
    ((name, event),) = named(reply.body)
    assert (name, event["error"]["code"]) == ("error", "generation_failed")


async def test_withheld_images_are_an_error(call: Caller, supernet: LocalSupernet) -> None:
    supernet.faults.flag_nsfw()
    reply = await call("POST", GENERATIONS, {"prompt": "a kite", "size": "256x256"})
    assert reply.refusal == (400, "content_policy_violation", None)


async def test_client_that_leaves_cancels_its_images(call: Caller, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    exchange = call.begin("POST", GENERATIONS, {"prompt": "a kite", "size": "256x256"})
    while not call.service.client.projects.tracked_projects:
        await asyncio.sleep(0.01)
    (project,) = call.service.client.projects.tracked_projects
    exchange.leave()
    await exchange.task
    assert project.status == "canceled"
    supernet.resume_workers()


async def test_images_that_are_left_while_they_are_sent_are_canceled(
    call: Caller, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet.pause_workers()
    create = call.service.client.projects.create
    exchanges: list[Exchange] = []
    projects = []

    async def create_and_leave(**params: Any) -> Any:
        projects.append(await create(**params))
        exchanges[-1].leave()
        await asyncio.sleep(0.01)
        return projects[-1]

    monkeypatch.setattr(call.service.client.projects, "create", create_and_leave)
    for streamed in (False, True):
        body = {"prompt": "a kite", "size": "256x256", "stream": streamed}
        exchanges.append(call.begin("POST", GENERATIONS, body))
        await exchanges[-1].task
    assert [project.status for project in projects] == ["canceled", "canceled"]
    supernet.resume_workers()


async def test_streams_of_images_end_in_order_when_the_server_ends(call: Caller, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    exchange = call.begin("POST", GENERATIONS, {"prompt": "a kite", "size": "256x256", "stream": True})
    while not exchange.reply.status:
        await asyncio.sleep(0.01)
    (project,) = call.service.client.projects.tracked_projects
    call.service.stop()
    await exchange.task
    ((name, event),) = named(exchange.reply.body)
    assert (name, event["error"]["code"], exchange.reply.complete) == ("error", "shutting_down", True)
    assert project.status == "canceled"
    supernet.resume_workers()


URI = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
REFUSED: list[tuple[str, dict[str, Any], tuple[int, str, str | None]]] = [
    (GENERATIONS, {}, (400, "missing_required_parameter", "prompt")),
    (GENERATIONS, {"prompt": " "}, (400, "invalid_value", "prompt")),
    (GENERATIONS, {"prompt": "a", "model": "dall-e-3"}, (404, "model_not_found", "model")),
    (GENERATIONS, {"prompt": "a", "size": "big"}, (400, "invalid_value", "size")),
    (GENERATIONS, {"prompt": "a", "size": "1x1"}, (400, "invalid_value", "size")),
    (GENERATIONS, {"prompt": "a", "n": 11}, (400, "invalid_value", "n")),
    (GENERATIONS, {"prompt": "a", "style": "vivid"}, (400, "unsupported_parameter", "style")),
    (GENERATIONS, {"prompt": "a", "background": "transparent"}, (400, "unsupported_value", "background")),
    (
        GENERATIONS,
        {"prompt": "a", "sogni": {"starting_image": "/etc/hosts"}},
        (400, "invalid_value", "sogni.starting_image"),
    ),
    (GENERATIONS, {"prompt": "a", "sogni": {"fps": 5}}, (400, "invalid_value", "sogni")),
    (GENERATIONS, {"prompt": "a", "sogni": {"seed": "x"}}, (400, "invalid_value", "seed")),
    (GENERATIONS, {"prompt": "a", "seed": 7}, (400, "unknown_parameter", "seed")),
    (EDITS, {"prompt": "a"}, (400, "missing_required_parameter", "image")),
    (EDITS, {"prompt": "a", "image": "/etc/hosts"}, (400, "invalid_value", "image")),
    (EDITS, {"prompt": "a", "image": "data:image/png;base64,AAAA"}, (400, "invalid_value", "image[0]")),
    (EDITS, {"prompt": "a", "image": URI, "mask": [], "model": "gpt-image-2"}, (400, "invalid_value", "mask")),
    (EDITS, {"prompt": "a", "image": URI, "mask": [URI] * 2, "model": "gpt-image-2"}, (400, "invalid_value", "mask")),
    (SPEECH, {"model": VOICE, "voice": "ryan"}, (400, "missing_required_parameter", "input")),
    (SPEECH, {"model": VOICE, "input": "a"}, (400, "invalid_value", "voice")),
    (SPEECH, {"model": VOICE, "input": "a", "voice": "alloy"}, (400, "invalid_value", "voice")),
    (SPEECH, {"model": "tts-1", "input": "a", "voice": "ryan"}, (404, "model_not_found", "model")),
    (SPEECH, {"model": "ace_step_1.5_turbo", "input": "a", "voice": "ryan"}, (400, "unsupported_value", "model")),
    (
        SPEECH,
        {"model": VOICE, "input": "a", "voice": "ryan", "response_format": "opus"},
        (400, "unsupported_value", "response_format"),
    ),
    (SPEECH, {"model": VOICE, "input": "a", "voice": "ryan", "speed": 2}, (400, "unsupported_parameter", "speed")),
    (VIDEOS, {}, (400, "missing_required_parameter", "prompt")),
    (VIDEOS, {"prompt": "a", "seconds": "long"}, (400, "invalid_value", "seconds")),
    (VIDEOS, {"prompt": "a", "seconds": 10**400}, (400, "invalid_value", "seconds")),
    (
        VIDEOS,
        {"prompt": "a", "input_reference": "https://example.com/a.png"},
        (400, "invalid_value", "input_reference"),
    ),
]


async def test_what_sogni_cannot_do_is_an_error_that_names_the_field(call: Caller, supernet: LocalSupernet) -> None:
    for path, body, refusal in REFUSED:
        reply = await call("POST", path, body)
        assert reply.refusal == refusal, (body, reply.json)
    assert sent(supernet) == []


async def test_forms_are_bounded(call: Caller) -> None:
    fields = [("image[]", (f"{at}.png", picture(), "image/png")) for at in range(20)]
    assert (await form(call, EDITS, [("prompt", "a"), *fields])).refusal == (400, "invalid_form", None)
    for boundary in ("", "; boundary=x", f"; boundary={'x' * 5000}"):
        reply = await call("POST", EDITS, b"garbage", content_type=f"multipart/form-data{boundary}")
        assert reply.refusal == (400, "invalid_form", None)
    reply = await call("POST", EDITS, b"prompt=a&" * 2000, content_type="application/x-www-form-urlencoded")
    assert reply.refusal == (400, "unsupported_content_type", None)


async def test_speech_is_a_file(call: Caller, supernet: LocalSupernet) -> None:
    call.service.voices["alloy"] = "ryan"
    body = {"model": VOICE, "input": "Welcome.", "voice": "alloy", "instructions": "warm", "speed": 1.0}
    reply = await call("POST", SPEECH, body)
    assert (reply.status, reply.headers["content-type"]) == (200, "audio/mpeg"), reply.body
    assert len(reply.body) > 500
    (request,) = sent(supernet)
    assert (request["keyFrames"][0]["speaker"], request["keyFrames"][0]["instruct"]) == ("ryan", "warm")
    reply = await call("POST", SPEECH, {**body, "response_format": "wav", "stream_format": "sse"})
    blocks = reply.body.decode().removesuffix("\n\n").split("\n\n")
    events = [json.loads(block.removeprefix("data: ")) for block in blocks]
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]).startswith(b"RIFF")
    assert events[-1]["type"] == "speech.audio.done"


async def until_done(call: Caller, video: str) -> dict[str, Any]:
    while (found := (await call("GET", f"{VIDEOS}/{video}")).json)["status"] in ("queued", "in_progress"):
        await asyncio.sleep(0.02)
    return dict(found)


async def test_video_is_made_fetched_and_forgotten(call: Caller, supernet: LocalSupernet, tmp_path: Path) -> None:
    call.service.videos = Videos(call.service.client, tmp_path / "videos.json")
    file = ("a.png", picture(), "image/png")
    fields = [("prompt", "a kite"), ("seconds", "2"), ("size", "480x480"), ("input_reference", file)]
    reply = await form(call, VIDEOS, fields)
    assert reply.status == 200, reply.body
    video = reply.json
    assert (video["object"], video["seconds"], video["size"], video["prompt"]) == ("video", "2", "480x480", "a kite")
    assert video["model"] == "wan_v2.2-14b-fp8_i2v_lightx2v"
    done = await until_done(call, video["id"])
    assert (done["status"], done["progress"], done["error"]) == ("completed", 100, None)
    content = await call("GET", f"{VIDEOS}/{video['id']}/content")
    assert (content.headers["content-type"], content.body[4:8]) == ("video/mp4", b"ftyp")
    assert (await call("GET", f"{VIDEOS}/{video['id']}/content?variant=spritesheet")).status == 400
    # A later server finds it, without its prompt.
    call.service.videos = Videos(call.service.client, tmp_path / "videos.json")
    assert b"kite" not in (tmp_path / "videos.json").read_bytes()
    listed = (await call("GET", f"{VIDEOS}?limit=1")).json
    assert [(it["id"], it["status"]) for it in listed["data"]] == [(video["id"], "completed")]
    assert (listed["object"], listed["has_more"], listed["last_id"]) == ("list", False, video["id"])
    deleted = (await call("DELETE", f"{VIDEOS}/{video['id']}")).json
    assert deleted == {"id": video["id"], "object": "video.deleted", "deleted": True}
    assert (await call("GET", f"{VIDEOS}/{video['id']}")).refusal == (404, "not_found", "video_id")


async def test_only_videos_of_this_server_can_be_fetched(call: Caller, supernet: LocalSupernet) -> None:
    project = await call.service.client.projects.create(
        type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a kite", width=256, height=256
    )
    await project.wait(timeout=30)
    for video in (project.id, "video_0", "..", "..%2f..%2fetc"):
        assert (await call("GET", f"{VIDEOS}/{video}")).status == 404
        assert (await call("GET", f"{VIDEOS}/{video}/content")).status == 404


async def test_failed_and_unfinished_videos(call: Caller, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    video = (await call("POST", VIDEOS, {"prompt": "a kite", "seconds": 2})).json
    assert video["status"] == "queued"
    reply = await call("GET", f"{VIDEOS}/{video['id']}/content")
    assert reply.refusal == (409, "video_not_ready", None)
    supernet.faults.fail_job()
    supernet.resume_workers()
    failed = await until_done(call, video["id"])
    assert (failed["status"], list(failed["error"])) == ("failed", ["code", "message"])
    assert (await call("GET", f"{VIDEOS}/{video['id']}/content")).status == 502


async def test_video_that_the_service_has_deleted_is_forgotten(
    call: Caller, supernet: LocalSupernet, tmp_path: Path
) -> None:
    row = {"model": "m", "created_at": 1, "seconds": "2", "size": "auto"}
    (tmp_path / "videos.json").write_text(json.dumps([{"id": "video_1", "project_id": "0" * 8, **row}]))
    call.service.videos = Videos(call.service.client, tmp_path / "videos.json")
    video = (await call("POST", VIDEOS, {"prompt": "a kite", "seconds": 2})).json
    assert [it["id"] for it in (await call("GET", VIDEOS)).json["data"]] == [video["id"]]
    assert (await call("GET", f"{VIDEOS}/video_1")).refusal == (404, "not_found", "video_id")


async def test_file_that_breaks_off_is_not_completed(call: Caller, supernet: LocalSupernet) -> None:
    video = (await call("POST", VIDEOS, {"prompt": "a kite", "seconds": 2, "size": "480x480"})).json
    await until_done(call, video["id"])
    supernet.faults.http("/storage/*", method="GET", truncate=True, times=100)
    exchange = call.begin("GET", f"{VIDEOS}/{video['id']}/content")
    await exchange.task
    assert (exchange.reply.status, exchange.reply.complete) == (200, False)


async def test_first_requests_after_a_restart_find_a_complete_video(
    call: Caller, supernet: LocalSupernet, tmp_path: Path
) -> None:
    call.service.videos = Videos(call.service.client, tmp_path / "videos.json")
    video = (await call("POST", VIDEOS, {"prompt": "a kite", "seconds": 2, "size": "480x480"})).json
    await until_done(call, video["id"])
    (row,) = json.loads((tmp_path / "videos.json").read_bytes())
    while (await call.service.client.projects.get(row["project_id"])).status != "completed":
        await asyncio.sleep(0.02)
    async with supernet.async_client() as client:
        later = Caller(Service(client, KEY, videos=Videos(client, tmp_path / "videos.json")))
        paths = [f"{VIDEOS}/{video['id']}", f"{VIDEOS}/{video['id']}/content"] * 2
        assert [reply.status for reply in await asyncio.gather(*(later("GET", path) for path in paths))] == [200] * 4
