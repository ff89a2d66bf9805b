"""Video files: frames, rate, size, sound, and use of the reference files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import (
    LTX,
    WAN,
    as_image,
    clip,
    distance,
    loudness,
    make,
    opened,
    picture,
    tone,
    video_request,
)
from tests.emulator.wire import Wire, new_id, of_type

RED, BLUE = picture("darkred"), picture("navy")


def test_a_wan_video_has_the_requested_frames_rate_and_size(wire: Wire) -> None:
    video = opened(make(wire, f"{WAN}_t2v_lightx2v", width=512, height=480, frames=21))
    assert (len(video.frames), video.fps, video.frames[0].size) == (21, 16, (512, 480))
    assert "mp4" in video.format
    assert video.samples is None


def test_frames_are_interpolated_for_32_frames_per_second(wire: Wire) -> None:
    video = opened(make(wire, f"{WAN}_t2v_lightx2v", fps=32))
    assert (len(video.frames), video.fps) == (33, 32)


def test_the_end_frame_can_be_trimmed_and_odd_sides_lose_a_pixel(wire: Wire) -> None:
    video = opened(make(wire, f"{WAN}_t2v_lightx2v", trimEndFrame=True, width=481, height=483))
    assert (len(video.frames), video.frames[0].size) == (16, (480, 482))


def test_the_same_request_with_the_same_seed_gives_the_same_bytes(wire: Wire) -> None:
    with_sound = [make(wire, f"{LTX}_t2v_distilled") for _ in range(2)]
    assert with_sound[0] == with_sound[1]
    silent = [make(wire, f"{WAN}_t2v_lightx2v", seed=seed) for seed in (7, 7, 8)]
    assert silent[0] == silent[1] != silent[2]


def test_a_video_moves(wire: Wire) -> None:
    frames = opened(make(wire, f"{WAN}_t2v_lightx2v")).frames
    assert distance(frames[0], frames[-1]) > 1
    assert all(distance(one, two) > 0.01 for one, two in itertools.pairwise(frames))


def test_a_video_starts_from_its_image(wire: Wire) -> None:
    frames = opened(make(wire, f"{WAN}_i2v_lightx2v", {"referenceImage": RED})).frames
    assert distance(frames[0], as_image(RED)) < 6 < distance(frames[-1], as_image(RED))


def test_a_video_ends_at_its_end_image(wire: Wire) -> None:
    frames = opened(make(wire, f"{WAN}_i2v_lightx2v", {"referenceImage": RED, "referenceImageEnd": BLUE})).frames
    assert distance(frames[0], as_image(RED)) < 6 < distance(frames[0], as_image(BLUE))
    assert distance(frames[-1], as_image(BLUE)) < 6 < distance(frames[-1], as_image(RED))


def test_an_end_image_is_enough(wire: Wire) -> None:
    frames = opened(make(wire, f"{WAN}_i2v_lightx2v", {"referenceImageEnd": BLUE})).frames
    assert distance(frames[-1], as_image(BLUE)) < 6 < distance(frames[0], as_image(BLUE))


def test_zero_strength_detaches_the_first_frame(wire: Wire) -> None:
    images = {"referenceImage": RED, "referenceImageEnd": BLUE}
    frames = opened(make(wire, f"{LTX}_i2v_distilled", images, firstFrameStrength=0, lastFrameStrength=0.6)).frames
    assert distance(frames[0], as_image(RED)) > 6 > distance(frames[-1], as_image(BLUE))


def test_video_to_video_starts_like_its_video(wire: Wire, tmp_path: Path) -> None:
    # Black for one second, then white.
    assets = {"referenceVideo": clip(tmp_path / "clip.mp4")}
    control = [{"name": "depth", "controlStrength": 0.9}]
    video = opened(make(wire, f"{LTX}_v2v_distilled", assets, videoStart=0.5, fps=24, currentControlNetsJob=control))
    assert (len(video.frames), video.samples is not None) == (25, True)
    assert distance(video.frames[0], Image.new("RGB", (8, 8), "black")) < 6


@pytest.mark.parametrize("model", [f"{WAN}_s2v_lightx2v", f"{LTX}_ia2v_distilled"])
def test_speech_and_image_become_a_video_with_sound(wire: Wire, model: str) -> None:
    assets = {"referenceImage": RED, "referenceAudio": tone(3)}
    video = opened(make(wire, model, assets, frames=25, audioStart=0.5, audioDuration=1))
    assert distance(video.frames[0], as_image(RED)) < 6
    length = 25 / float(video.fps or 1)
    assert (video.sample_rate, video.seconds) == (48000, pytest.approx(length, abs=0.05))
    assert loudness(video.samples, 48000, 0, length) > 0.02


def test_sound_alone_becomes_a_video(wire: Wire) -> None:
    video = opened(make(wire, f"{LTX}_a2v_distilled", {"referenceAudio": tone(2)}))
    assert len(video.frames) == 25
    assert loudness(video.samples, 48000, 0, 0.9) > 0.02


def test_ltx_generates_sound_unless_disabled(wire: Wire) -> None:
    loud = opened(make(wire, f"{LTX}_t2v_distilled", {"referenceAudioIdentity": tone(2)}, fps=25))
    assert (len(loud.frames), loud.fps) == (25, 25)
    assert loud.seconds == pytest.approx(1, abs=0.05)
    assert loudness(loud.samples, 48000, 0.2, 0.8) > 0.005
    assert opened(make(wire, f"{LTX}_t2v_distilled", generateAudio=False)).samples is None


@pytest.mark.parametrize(("fps", "rate"), [(29.97, 29.97), (..., 24)])
def test_ltx_takes_any_frame_rate(wire: Wire, fps: Any, rate: float) -> None:
    video = opened(make(wire, f"{LTX}_t2v_distilled", fps=fps))
    assert float(video.fps or 0) == pytest.approx(rate, rel=1e-4)
    assert len(video.frames) == 25


def test_seedance_delivers_a_direct_url_and_reports_fractions(wire: Wire) -> None:
    request = video_request("seedance-2-0-mini", referenceImageURLs=["https://cdn.example.com/a.png"])
    wire.connect().create(request)
    frames = wire.finish(request["jobID"])
    assert [data["progress"] for data in of_type(frames, "jobProgress")] == [0.25, 0.5, 0.75, 1.0]
    reply = wire.http.get(of_type(frames, "jobResult")[0]["resultUrl"], timeout=30)
    assert reply.headers["Content-Type"] == "video/mp4"
    video = opened(reply.content)
    assert (len(video.frames), video.fps) == (97, 24)
    assert video.seconds == pytest.approx(97 / 24, abs=0.05)


def test_seedance_25_delivers_its_last_frame_and_quicktime(wire: Wire) -> None:
    top = {"outputFormat": "mov"}
    request = video_request("seedance-2-5", top=top, returnLastFrame=True, generateAudio=False)
    wire.connect().create(request)
    result = of_type(wire.finish(request["jobID"]), "jobResult")[0]
    reply = wire.http.get(result["resultUrl"], timeout=30)
    assert reply.headers["Content-Type"] == "video/quicktime"
    video = opened(reply.content)
    assert video.samples is None
    last = as_image(wire.http.get(result["lastFrameUrl"], timeout=30).content)
    assert distance(video.frames[-1], last) < 4


def test_video_workers_report_steps_and_the_remaining_time(wire: Wire) -> None:
    request = video_request(f"{WAN}_t2v_lightx2v", steps=6, top={"numberOfImages": 2})
    wire.connect().create(request)
    frames = wire.finish(request["jobID"])
    results = of_type(frames, "jobResult")
    assert len({result["lastSeed"] for result in results}) == 2
    first = results[0]["imgID"]
    steps = [(data["step"], data["stepCount"]) for data in of_type(frames, "jobProgress") if data["imgID"] == first]
    assert steps == [(step, 6) for step in range(1, 7)]
    assert {data["imgID"] for data in of_type(frames, "jobETA")} == {result["imgID"] for result in results}
    assert not any(data["hasImage"] for data in of_type(frames, "jobProgress"))


def test_a_video_is_not_served_by_the_image_endpoint(wire: Wire, supernet: LocalSupernet) -> None:
    request = video_request(f"{WAN}_t2v_lightx2v")
    wire.connect().create(request)
    item = of_type(wire.finish(request["jobID"]), "jobResult")[0]["imgID"]
    reply = wire.get("/v1/image/downloadUrl", jobId=request["jobID"], imageId=item, type="complete")
    assert reply.status_code == 404
    assert "/v1/media/downloadUrl" in reply.json()["message"]
    assert wire.download_media(request["jobID"], item).headers["Content-Type"] == "video/mp4"
    assert supernet.violations == []


def test_a_file_that_only_looks_like_one_fails_at_the_worker(wire: Wire) -> None:
    project_id = new_id()
    wire.upload(project_id, "referenceImage", RED)
    wire.upload_media(project_id, "referenceAudio", b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40))
    request = video_request(f"{WAN}_s2v_lightx2v", project_id, hasReferenceImage=True, hasReferenceAudio=True)
    wire.connect().create(request)
    error = wire.next("jobError")
    assert (error["error"], error["isFromWorker"]) == ("genfailure", True)
    assert "referenceAudio" in error["error_message"]


def test_a_recovering_client_learns_size_and_length(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    wire.connect().create(video_request(f"{WAN}_t2v_lightx2v", fps=32))
    supernet.wait_for(lambda: supernet.projects)
    record = wire.get("/api/v1/artist/projects/sync", appId=wire.app_id).json()["activeProjects"][0]
    assert (record["width"], record["height"], record["videoFrames"], record["videoFps"]) == (480, 480, 33, 32)
    assert record["modelType"] == "video"
