"""Video and music in both packages: from the call to files that are opened, and what is refused on the way."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.emulator.media.helpers import as_image, clip, distance, opened, picture, tone
from tests.scenarios.conftest import SOON, Sdk, until

WAN, LTX = "wan_v2.2-14b-fp8_{}_lightx2v", "ltx23-22b-fp8_{}_distilled"
ACE, SEEDANCE = "ace_step_1.5_turbo", "seedance-2-0"
FACE = picture("darkred")
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(64)


async def film(sdk: Sdk, client: Any, model: str = WAN.format("t2v"), **fields: Any) -> Any:
    """Create a video project as small as its model allows."""
    small: dict[str, Any] = {"duration": 1, "width": 480, "height": 480}
    if model.startswith("ltx"):
        small = {"duration": 1, "width": 640, "height": 640}
    elif model == SEEDANCE:
        small |= {"duration": 4, "token_type": "spark"}
    given = {"type": "video", "model_id": model, "positive_prompt": "a keeper", **small, **fields}
    return await sdk.call(client.projects.create, **given)


async def compose(sdk: Sdk, client: Any, **fields: Any) -> Any:
    """Create a music project of ten seconds."""
    given = {"type": "audio", "model_id": ACE, "positive_prompt": "a shanty", "duration": 10, **fields}
    return await sdk.call(client.projects.create, **given)


def sent(supernet: LocalSupernet) -> list[Any]:
    """What was uploaded, or asked of the service for a project."""
    return [
        it
        for it in supernet.requests
        if getattr(it, "type", "") == "jobRequest" or getattr(it, "method", "") in ("PUT", "POST")
    ]


def roles(supernet: LocalSupernet) -> list[str]:
    return [it.body["type"] for it in supernet.requests if str(getattr(it, "path", "")).endswith("/bind")]


async def test_a_video_starts_from_its_image(sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path) -> None:
    project = await film(sdk, client, WAN.format("i2v"), reference_image=FACE, seed=1)
    assert await sdk.call(project.wait, timeout=SOON) is project
    (path,) = await sdk.call(project.save, tmp_path)
    video = opened(path.read_bytes())
    assert (path.suffix, project.type, project.jobs[0].type) == (".mp4", "video", "video")
    assert (len(video.frames), video.fps, video.frames[0].size) == (17, 16, (480, 480))
    assert distance(video.frames[0], as_image(FACE)) < 6 < distance(video.frames[-1], as_image(FACE))
    assert supernet.violations == []


async def test_a_finished_image_becomes_a_video(sdk: Sdk, client: Any) -> None:
    image = await sdk.create(client)
    await sdk.call(image.wait, timeout=SOON)
    still = as_image(await sdk.call(image.jobs[0].get_result_data))
    project = await film(sdk, client, WAN.format("i2v"), reference_image=image.jobs[0])
    await sdk.call(project.wait, timeout=SOON)
    video = opened(await sdk.call(project.jobs[0].get_result_data))
    assert distance(still, video.frames[0]) < 10


async def test_music_comes_in_versions(sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path) -> None:
    project = await compose(sdk, client, number_of_media=2, lyrics="la la", keyscale="A minor", bpm=96)
    urls = await sdk.call(project.wait_for_completion, timeout=SOON)
    paths = await sdk.call(project.save, tmp_path, name="song-{index}")
    assert [path.name for path in paths] == ["song-0.mp3", "song-1.mp3"]
    assert len(set(urls)) == 2
    songs = [path.read_bytes() for path in paths]
    assert songs[0] != songs[1]
    assert [opened(song).seconds for song in songs] == pytest.approx([10, 10], abs=0.1)
    assert supernet.violations == []


@pytest.mark.parametrize("wanted", [None, "mp3", "wav", "flac"])
async def test_the_suffix_of_music_fits_its_content(sdk: Sdk, client: Any, tmp_path: Path, wanted: str | None) -> None:
    project = await compose(sdk, client, output_format=wanted)
    await sdk.call(project.wait, timeout=SOON)
    saved = await sdk.call(project.jobs[0].save, tmp_path / "song")
    assert saved.name == f"song.{wanted or 'mp3'}"
    assert opened(saved.read_bytes()).format == (wanted or "mp3")


async def test_several_files_are_uploaded_each_in_its_place(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    (tmp_path / "dance.mp4").write_bytes(clip(tmp_path / "made.mp4"))
    face = Image.open(io.BytesIO(FACE))
    spoken = await film(sdk, client, WAN.format("s2v"), reference_image=face, reference_audio=io.BytesIO(tone(2)))
    danced = await film(
        sdk, client, WAN.format("animate-move"), reference_image=FACE, reference_video=tmp_path / "dance.mp4"
    )
    mixed = await film(
        sdk,
        client,
        SEEDANCE,
        reference_image=FACE,
        reference_image_end=FACE,
        reference_audio=tone(2),
        reference_video=str(tmp_path / "dance.mp4"),
    )
    for project in (spoken, danced, mixed):
        await sdk.call(project.wait, timeout=SOON)
    assert roles(supernet) == [
        *("referenceImage", "referenceAudio", "referenceImage", "referenceVideo"),
        *("referenceImage", "referenceImageEnd", "referenceAudio", "referenceVideo"),
    ]
    assert opened(await sdk.call(spoken.jobs[0].get_result_data)).samples is not None
    assert supernet.violations == []


async def test_an_upload_that_fails_is_repeated(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    fault = supernet.faults.http("/storage/*", method="PUT", status=503)
    project = await film(sdk, client, WAN.format("s2v"), reference_image=FACE, reference_audio=tone(2))
    await sdk.call(project.wait, timeout=SOON)
    assert (fault.fired, project.status) == (1, "completed")


@pytest.mark.parametrize(
    ("model", "field", "name", "content", "told"),
    [
        (WAN.format("i2v"), "reference_image", "face.png", b"not an image at all", r"got face.png \(text/plain\)"),
        (LTX.format("v2v"), "reference_video", "song.mp4", MP3, r"got song.mp4 \(audio/mpeg\)"),
        (LTX.format("v2v"), "reference_video", "notes.mp4", b"scene one: a harbour", r"got notes.mp4 \(text/plain\)"),
        (LTX.format("a2v"), "reference_audio", "face.mp3", FACE, r"got face.mp3 \(image/png\)"),
        (LTX.format("a2v"), "reference_audio", "nothing.mp3", b"", "is empty"),
    ],
)
async def test_a_file_that_is_something_else_is_refused_before_anything_is_sent(
    sdk: Sdk,
    client: Any,
    supernet: LocalSupernet,
    tmp_path: Path,
    model: str,
    field: str,
    name: str,
    content: bytes,
    told: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(sdk.ValidationError, match=told) as caught:
        await film(sdk, client, model, **{field: tmp_path / name})
    assert caught.value.field == field
    assert name in str(caught.value)
    assert sent(supernet) == []


@pytest.mark.parametrize(
    ("model", "given", "field", "told"),
    [
        (WAN.format("i2v"), {}, "reference_image", "^reference_image must be given .*, or a reference_image_end"),
        (
            WAN.format("s2v"),
            {"reference_image": FACE},
            "reference_audio",
            "^reference_audio must be given for .* .s2v.$",
        ),
        (
            WAN.format("animate-move"),
            {"reference_image": FACE},
            "reference_video",
            "^reference_video must be given for .* .animate-move.$",
        ),
        (
            WAN.format("t2v"),
            {"reference_image": FACE},
            "reference_image",
            "^reference_image must be omitted for .* .t2v., got",
        ),
        (
            LTX.format("a2v"),
            {"reference_audio": MP3, "reference_image": FACE},
            "reference_image",
            "^reference_image must be omitted for .* .a2v., got",
        ),
        (SEEDANCE, {"reference_audio": MP3}, "reference_image", "must be at least 1 reference images and videos"),
        (
            WAN.format("t2v"),
            {"reference_image_urls": ["https://a.b/c.png"]},
            "reference_image_urls",
            "must be omitted for .*; the models that use it: seedance, ",
        ),
    ],
)
async def test_missing_and_forbidden_files_are_named_with_their_workflow(
    sdk: Sdk, client: Any, supernet: LocalSupernet, model: str, given: dict[str, Any], field: str, told: str
) -> None:
    with pytest.raises(sdk.ValidationError, match=told) as caught:
        await film(sdk, client, model, **given)
    assert caught.value.field == field
    assert model in str(caught.value)
    assert sent(supernet) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "video", "model_id": WAN.format("t2v"), "duration": 1, "fps": 32, "steps": 6, "number_of_media": 2},
        {"type": "video", "model_id": LTX.format("i2v"), "duration": 1, "reference_image": FACE},
        {"type": "video", "model_id": SEEDANCE, "duration": 4, "width": 640, "height": 480},
        {"type": "audio", "model_id": ACE, "duration": 11, "number_of_media": 3},
    ],
    ids=["wan", "ltx", "seedance", "music"],
)
async def test_estimates_and_what_is_charged_agree(sdk: Sdk, client: Any, fields: dict[str, Any]) -> None:
    request = {**fields, "positive_prompt": "x", "token_type": "spark"}
    before = (await sdk.call(client.account.account_balance)).spark.net
    estimate = await sdk.call(client.projects.estimate, **request)
    project = await sdk.call(client.projects.create, **request, max_cost=estimate.token)
    await sdk.call(project.wait, timeout=SOON)
    spent = before - (await sdk.call(client.account.refresh_balance)).spark.net
    assert spent == pytest.approx(estimate.token)
    assert spent > 0


async def test_estimates_by_name_are_those_of_the_project(sdk: Sdk, client: Any) -> None:
    video = {"duration": 2, "fps": 16, "width": 640, "height": 480, "number_of_media": 2, "token_type": "spark"}
    music = {"duration": 20, "steps": 6, "number_of_media": 2, "token_type": "spark"}
    prices = [
        await sdk.call(client.projects.estimate_video_cost, WAN.format("t2v"), **video),
        await sdk.call(client.projects.estimate, type="video", model_id=WAN.format("t2v"), **video),
        await sdk.call(client.projects.estimate_audio_cost, ACE, **music),
        await sdk.call(client.projects.estimate, type="audio", model_id=ACE, **music),
    ]
    assert prices[0].token == prices[1].token > 0
    assert prices[2].token == prices[3].token > 0


async def test_a_cost_limit_refuses_before_anything_is_sent(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    with pytest.raises(sdk.CostLimitError) as caught:
        await film(sdk, client, WAN.format("i2v"), reference_image=FACE, max_cost="0.000001")
    assert caught.value.estimate.token > caught.value.max_cost
    assert sent(supernet) == []


async def test_the_time_left_is_known_while_a_video_is_made(sdk: Sdk, slow_supernet: LocalSupernet) -> None:
    async with sdk.client(slow_supernet) as client:
        project = await film(sdk, client, steps=8)
        seen: list[tuple[Any, Any]] = []
        project.on("progress", lambda _: seen.append((project.eta, project.jobs[0].eta_seconds)))
        await sdk.call(project.wait, timeout=SOON)
        await until(lambda: seen)
    moments = [moment for moment, _ in seen if moment is not None]
    assert moments
    assert all(isinstance(moment, datetime) and moment.tzinfo is not None for moment in moments)
    assert all(seconds >= 0 for _, seconds in seen if seconds is not None)


async def test_a_provider_tells_fractions_and_delivers_its_own_address(
    sdk: Sdk, slow_supernet: LocalSupernet, tmp_path: Path
) -> None:
    async with sdk.client(slow_supernet) as client:
        project = await film(sdk, client, SEEDANCE, reference_image_urls=["https://cdn.example.com/a.png"])
        shown: list[int] = []
        project.on("progress", shown.append)
        (url,) = await sdk.call(project.wait_for_completion, timeout=SOON)
        (path,) = await sdk.call(project.save, tmp_path)
        await until(lambda: shown and shown[-1] == 100)
    assert {25, 50, 75} <= set(shown)
    assert shown == sorted(shown)
    assert url == project.jobs[0].result_url
    # The address came with the result: nobody was asked for one.
    assert not [it for it in slow_supernet.requests if str(getattr(it, "path", "")).endswith("/downloadUrl")]
    assert (path.suffix, opened(path.read_bytes()).fps) == (".mp4", 24)


async def test_of_two_versions_one_may_fail(sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path) -> None:
    supernet.faults.fail_job(1, message="The worker ran out of memory")
    project = await compose(sdk, client, number_of_media=2)
    with pytest.warns(sdk.PartialResultWarning):
        urls = await sdk.call(project.wait_for_completion, timeout=SOON)
    paths = await sdk.call(project.save, tmp_path)
    assert (len(urls), len(paths), project.status) == (1, 1, "completed")
    (failed,) = project.failed_jobs
    assert (failed.job_index, failed.error.message) == (1, "The worker ran out of memory")
    with pytest.raises(sdk.PartialFailureError):
        await sdk.call(project.wait, strict=True)


async def test_an_unpickled_video_project_is_what_it_was(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    project = await film(sdk, client, reference_image=None, control_net=None)
    await sdk.call(project.wait, timeout=SOON)
    again = pickle.loads(pickle.dumps(project))
    assert (again.type, again.params.duration, again.result_urls) == ("video", 1, project.result_urls)
    attached = await sdk.call(client.projects.attach, again)
    (path,) = await sdk.call(attached.save, tmp_path)
    assert path.suffix == ".mp4"


async def test_the_last_frame_of_a_video_is_an_image(sdk: Sdk, client: Any) -> None:
    """Seedance 2.5 gives it beside the video (projects-5x §8)."""
    heard: list[Any] = []
    client.projects.on("job", lambda event: heard.append(event))
    project = await film(
        sdk, client, "seedance-2-5", return_last_frame=True, duration=4, token_type="spark", number_of_media=1
    )
    await sdk.call(project.wait, timeout=SOON)
    (job,) = project.jobs
    url = await sdk.call(job.get_last_frame_url)
    assert url == job.last_frame_url
    with Image.open(io.BytesIO(requests.get(url, timeout=SOON).content)) as image:
        assert image.format == "PNG"
    again = pickle.loads(pickle.dumps(project)).jobs[0]
    assert (again.last_frame_url, job.is_withheld, job.nsfw_sources, job.provenance) == (url, False, (), None)
    await until(lambda: [it for it in heard if it.type == "completed"])
    assert [it.last_frame_url for it in heard if it.type == "completed"] == [url]


async def test_a_video_whose_last_frame_was_not_asked_for_has_none(sdk: Sdk, client: Any) -> None:
    project = await film(sdk, client)
    await sdk.call(project.wait, timeout=SOON)
    assert project.jobs[0].last_frame_url is None
    with pytest.raises(sdk.NotFoundError):
        await sdk.call(project.jobs[0].get_last_frame_url)


class Wrapped(io.BytesIO):
    """A file object of an unknown kind."""


@pytest.mark.parametrize("kind", ["file", "memory", "wrapped"])
async def test_uploads_that_share_a_file_object_are_whole(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path, kind: str
) -> None:
    content = picture("navy") + os.urandom(2_000_000)
    path = tmp_path / "shared.png"
    path.write_bytes(content)

    async def edit(shared: Any) -> None:
        given = {"model_id": "qwen_image_edit_2511_fp8_lightning", "context_images": [shared, shared]}
        project = await sdk.create(apart, **given)
        await sdk.call(project.cancel)

    makers = {
        "file": lambda: path.open("rb"),
        "memory": lambda: io.BytesIO(content),
        "wrapped": lambda: Wrapped(content),
    }
    with makers[kind]() as shared:
        shared.seek(3)
        async with sdk.client(supernet, saved_uploads=False) as apart:
            outcomes = await asyncio.gather(*(edit(shared) for _ in range(3)), return_exceptions=True)
    stored = [it.read_bytes() for it in supernet._now.state.store.directory.iterdir()]
    assert (outcomes, [it == content for it in stored if len(it) > 1_000_000]) == ([None] * 3, [True] * 6)


async def test_a_stream_given_twice_is_refused_before_anything_is_sent(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    once = Wrapped(picture("navy"))
    once.seekable = lambda: False  # type: ignore[method-assign]
    with pytest.raises(
        sdk.ValidationError, match=r"context_images\[1\] must be a file with content, got .*, which is empty"
    ):
        await sdk.create(client, model_id="qwen_image_edit_2511_fp8_lightning", context_images=[once, once])
    assert sent(supernet) == []
