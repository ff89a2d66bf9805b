"""The main job in both packages: an image from a prompt, and everything a project can be asked."""

from __future__ import annotations

import asyncio
import io
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from PIL import Image, ImageDraw

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import MODEL, SOON, Sdk, until


async def test_a_prompt_becomes_a_file_of_the_requested_size(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    project = await sdk.create(client, width=320, height=256)
    assert await sdk.call(project.wait, timeout=SOON) is project
    (path,) = await sdk.call(project.save, tmp_path)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (320, 256))
    assert path == tmp_path / f"{project.id}-0.png"
    assert [project.status, project.finished, project.progress] == ["completed", True, 100]


@pytest.mark.parametrize(
    ("wanted", "suffix", "kind"), [("png", ".png", "PNG"), ("jpg", ".jpg", "JPEG"), ("webp", ".webp", "WEBP")]
)
async def test_the_suffix_fits_the_content(
    sdk: Sdk, client: Any, tmp_path: Path, wanted: str, suffix: str, kind: str
) -> None:
    project = await sdk.create(client, output_format=wanted)
    await sdk.call(project.wait_for_completion, timeout=SOON)
    (path,) = await sdk.call(project.save, tmp_path, name="{seed}")
    assert path.name == f"{project.jobs[0].seed}{suffix}"
    with Image.open(path) as image:
        assert image.format == kind


async def test_results_come_in_job_order(sdk: Sdk, client: Any) -> None:
    project = await sdk.create(client, number_of_media=4, steps=2)
    urls = await sdk.call(project.wait_for_completion, timeout=SOON)
    assert urls == [job.result_url for job in project.jobs] == project.result_urls
    assert len(set(urls)) == 4


async def test_callbacks_hear_of_everything_in_order(sdk: Sdk) -> None:
    heard: list[tuple[str, Any]] = []
    # Time stands still until all callbacks are attached: a project that has ended reports no progress.
    with LocalSupernet(clock="manual", step_time=0.2) as supernet:
        async with sdk.client(supernet) as client:
            project = await sdk.create(client, number_of_media=2, steps=3)
            for name in ("job_started", "job_completed", "completed"):
                project.on(name, lambda value, name=name: heard.append((name, value)))

            @project.on("progress")
            def progressed(value: int) -> None:
                heard.append(("progress", value))

            supernet.clock.resume(factor=100)
            urls = await sdk.call(project.wait_for_completion, timeout=SOON)
            await until(lambda: heard and heard[-1][0] == "completed")
    assert heard[-1] == ("completed", urls)
    completed = [value for name, value in heard if name == "job_completed"]
    assert sorted(completed, key=lambda job: job.id) == sorted(project.jobs, key=lambda job: job.id)
    shown = [value for name, value in heard if name == "progress"]
    assert shown == sorted(shown)
    assert shown[-1] == 100


async def test_events_are_replayed_to_a_late_reader(sdk: Sdk, client: Any) -> None:
    project = await sdk.create(client, steps=3)
    early = await sdk.collect(project.events(timeout=SOON))
    late = await sdk.collect(project.events(timeout=SOON))
    kept = [event for event in early if event.name not in ("progress", "updated")]
    assert [event for event in late if event.name != "progress"] == kept
    assert [event.name for event in kept] == ["job_started", "job_completed", "completed"]
    assert early[-1].value == project.result_urls


async def test_a_project_costs_what_was_estimated_in_the_same_token(sdk: Sdk, client: Any) -> None:
    estimated = await sdk.call(client.projects.estimate_cost, MODEL, width=256, height=256)
    before = await sdk.call(client.account.account_balance)
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=SOON)
    after = await sdk.call(client.account.account_balance)
    assert before.sogni.net - after.sogni.net == estimated.token > 0
    assert before.spark == after.spark


async def test_the_same_request_and_seed_give_the_same_bytes(sdk: Sdk, client: Any) -> None:
    images = []
    for seed in (7, 7, 8):
        project = await sdk.create(client, seed=seed)
        await sdk.call(project.wait, timeout=SOON)
        images.append(await sdk.call(project.jobs[0].get_result_data))
        assert project.jobs[0].seed == seed
    assert images[0] == images[1] != images[2]


async def test_a_starting_image_shapes_the_result(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    red = Image.new("RGB", (256, 256), (255, 0, 0))
    red.save(tmp_path / "red.png")
    shares = []
    for start in ({}, {"starting_image": tmp_path / "red.png", "starting_image_strength": 0.9}):
        project = await sdk.create(client, seed=3, **start)
        await sdk.call(project.wait, timeout=SOON)
        with Image.open(io.BytesIO(await sdk.call(project.jobs[0].get_result_data))) as result:
            r, g, b = result.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
        shares.append(r / (r + g + b))
    assert shares[1] > shares[0]
    assert shares[1] > 0.7


def _inputs(tmp_path: Path) -> dict[str, Any]:
    picture = Image.new("RGB", (64, 64), (0, 128, 255))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    return {
        "a path": tmp_path / "a.png",
        "a text": str(tmp_path / "a.png"),
        "bytes": buffer.getvalue(),
        "a file object": io.BytesIO(buffer.getvalue()),
        "a PIL image": picture,
    }


@pytest.mark.parametrize("kind", ["a path", "a text", "bytes", "a file object", "a PIL image"])
async def test_media_may_be_given_as(sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path, kind: str) -> None:
    project = await sdk.create(client, starting_image=_inputs(tmp_path)[kind])
    await sdk.call(project.wait, timeout=SOON)
    uploads = [request for request in supernet.requests if getattr(request, "method", "") == "PUT"]
    assert len(uploads) == 1
    assert supernet.violations == []


@pytest.mark.parametrize(
    ("way", "fields", "path", "query"),
    [
        ("upload_url", {"image_id": "I", "type": "startingImage", "content_type": "image/png"}, "/v1/image/uploadUrl",
         {"imageId": "I", "type": "startingImage", "contentType": "image/png"}),
        ("upload_url", {"image_id": "I", "type": "cnImage"}, "/v1/image/uploadUrl",
         {"imageId": "I", "type": "cnImage"}),
        ("media_upload_url", {"type": "referenceVideo", "content_type": "video/mp4"}, "/v1/media/uploadUrl",
         {"type": "referenceVideo", "contentType": "video/mp4"}),
        ("media_upload_url", {"type": "referenceAudio", "id": "referenceAudio2"}, "/v1/media/uploadUrl",
         {"type": "referenceAudio", "id": "referenceAudio2"}),
    ],
)  # fmt: skip
async def test_an_address_to_upload_to_can_be_asked_for(
    sdk: Sdk, client: Any, supernet: LocalSupernet, way: str, fields: dict[str, Any], path: str, query: dict[str, str]
) -> None:
    """projects-4.2 §10.1."""
    project = str(uuid4()).upper()
    url = await sdk.call(getattr(client.projects, way), job_id=project, **fields)
    (asked,) = [it for it in supernet.requests if getattr(it, "path", "") == path]
    assert (url.startswith(supernet.rest_endpoint), dict(asked.query)) == (True, {"jobId": project, **query})


async def test_the_address_of_a_result_can_be_asked_for(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    """projects-4.2 §10.1: images by `image_id`, other media by `id`."""
    image = await sdk.create(client)
    music = await sdk.call(
        client.projects.create, type="audio", model_id="ace_step_1.5_turbo", positive_prompt="a shanty", duration=10
    )
    for project in (image, music):
        await sdk.call(project.wait, timeout=SOON)
    still = await sdk.call(client.projects.download_url, image_id=image.jobs[0].id, job_id=image.id, type="complete")
    song = await sdk.call(
        client.projects.media_download_url,
        job_id=music.id, id=music.jobs[0].id, type="complete", content_type="audio/mpeg",
    )  # fmt: skip
    for url, begins in ((still, b"\x89PNG"), (song, (b"ID3", b"\xff"))):
        answer = await asyncio.to_thread(requests.get, url, timeout=SOON)
        assert (answer.status_code, answer.content.startswith(begins)) == (200, True)
    assert supernet.violations == []


async def test_a_finished_job_is_a_starting_image(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    first = await sdk.create(client)
    await sdk.call(first.wait, timeout=SOON)
    second = await sdk.create(client, starting_image=first.jobs[0])
    await sdk.call(second.wait, timeout=SOON)
    assert second.status == "completed"
    assert supernet.violations == []


async def test_context_images_and_control_net_are_uploaded(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    picture = _inputs(tmp_path)["bytes"]
    edit = await sdk.create(
        client, model_id="qwen_image_edit_2511_fp8_lightning", context_images=[picture, picture, picture]
    )
    guided = await sdk.create(
        client,
        model_id="coreml-cyberrealistic_v70_768",
        control_net={"name": "canny", "image": picture, "strength": 0.5, "mode": "balanced"},
    )
    for project in (edit, guided):
        await sdk.call(project.wait, timeout=SOON)
    roles = [it.body["type"] for it in supernet.requests if getattr(it, "path", "").endswith("/bind")]
    assert sorted(roles) == ["cnImage", "contextImage1", "contextImage2", "contextImage3"]
    assert supernet.violations == []


async def test_previews_arrive(sdk: Sdk, supernet: LocalSupernet) -> None:
    previews: list[str] = []
    # The result waits, so that the addresses of the previews are there first, however busy the machine is.
    supernet.faults.delay_frames("jobResult", seconds=1)
    async with sdk.client(supernet) as client:
        project = await sdk.create(client, steps=10, model_id="z_image_turbo_bf16", number_of_previews=3)
        project.on("job_started", lambda job: job.on("preview", previews.append))
        await sdk.call(project.wait, timeout=SOON)
        await until(lambda: project.jobs[0].preview_url in previews)
        assert (await sdk.call(project.jobs[0].get_preview_data)).startswith(b"\xff\xd8")
        assert project.jobs[0].image_url == project.jobs[0].result_url
    assert all("type=preview" in url or "preview" in url for url in previews)


async def test_result_data_stream_and_file_are_the_same(sdk: Sdk, client: Any, tmp_path: Path) -> None:
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=SOON)
    job = project.jobs[0]
    data = await sdk.call(job.get_result_data)
    saved = await sdk.call(job.save, tmp_path / "picture")
    stream = await sdk.call(job.open)
    pieces = []
    while piece := await sdk.call(stream.read, 1000):
        pieces.append(piece)
    await sdk.call(stream.close)
    assert saved == tmp_path / "picture.png"
    assert saved.read_bytes() == data == b"".join(pieces)
    assert await sdk.call(job.get_result_url) == job.result_url


async def test_a_refused_address_is_asked_for_again(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=SOON)
    before = project.jobs[0].result_url
    supernet.expire_urls()
    assert (await sdk.call(project.jobs[0].get_result_data)).startswith(b"\x89PNG")
    assert project.jobs[0].result_url != before


async def test_an_image_can_be_enhanced(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    """With what is sent, the estimate asks for (additions-5x §0, §14)."""
    project = await sdk.create(client, width=320, height=256, seed=0, token_type="spark")
    await sdk.call(project.wait, timeout=SOON)
    job = project.jobs[0]
    assert job.enhanced_image is None
    url = await sdk.call(job.enhance, "medium")
    size = {"width": 320, "height": 256}
    assert await sdk.call(client.projects.estimate_enhancement_cost, "medium", **size)
    sent = [it.data for it in supernet.requests if getattr(it, "type", None) == "jobRequest"][-1]
    asked = [it.path for it in supernet.requests if "/job/estimate/" in getattr(it, "path", "")][-1].split("/")[5:]
    frame = sent["keyFrames"][0]
    assert asked[:6] == ["spark", "fast", "krea2_turbo_fp8_scaled", "1", "8", "0"]
    assert (sent["tokenType"], sent["network"], frame["modelID"]) == tuple(asked[:3])
    assert [sent["numberOfImages"], frame["steps"], sent["previews"]] == [1, 8, 0]
    assert float(asked[7]) == pytest.approx(frame["strength"]) == 0.35
    assert [frame["width"], frame["height"]] == [int(side) for side in asked[8:]] == [320, 256]
    assert [frame["guidanceScale"], frame["seed"], frame["positivePrompt"]] == [1, 0, project.params.positive_prompt]
    assert [job.enhanced_image.result, job.enhanced_image.status] == [url, "completed"]
    assert await sdk.call(job.enhanced_image.get_result_url) == url


async def test_an_image_that_is_still_being_enhanced_has_no_address(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=SOON)
    supernet.pause_workers()
    enhancing = asyncio.ensure_future(sdk.call(project.jobs[0].enhance, "light"))
    image = await until(lambda: project.jobs[0].enhanced_image)
    with pytest.raises(sdk.JobError, match="only a completed one"):
        await sdk.call(image.get_result_url)
    supernet.resume_workers()
    assert await enhancing == await sdk.call(image.get_result_url)


async def test_estimates_and_what_is_charged_agree(sdk: Sdk, client: Any) -> None:
    before = (await sdk.call(client.account.account_balance)).spark.net
    fields = {
        "type": "image",
        "model_id": "flux1-schnell-fp8",
        "positive_prompt": "x",
        "steps": 4,
        "token_type": "spark",
    }
    estimate = await sdk.call(client.projects.estimate, **fields)
    project = await sdk.call(client.projects.create, **fields, max_cost=estimate.token)
    await sdk.call(project.wait, timeout=SOON)
    assert estimate.token > 0
    spent = before - (await sdk.call(client.account.refresh_balance)).spark.net
    assert spent == pytest.approx(estimate.token)
    assert client.current_account.balance.spark.net == before - spent


async def test_max_cost_refuses_before_anything_is_sent(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    with pytest.raises(sdk.CostLimitError) as caught:
        await sdk.create(client, max_cost="0.000001", starting_image=Image.new("RGB", (32, 32)))
    assert caught.value.estimate.token > caught.value.max_cost
    assert not [
        r for r in supernet.requests if getattr(r, "method", "") == "PUT" or getattr(r, "type", "") == "jobRequest"
    ]


async def test_map_yields_each_project_with_its_request(sdk: Sdk, client: Any) -> None:
    requests = [
        {
            "type": "image",
            "model_id": "flux1-schnell-fp8",
            "positive_prompt": f"picture {n}",
            "width": 256,
            "height": 256,
        }
        for n in range(6)
    ]
    pairs = await sdk.collect(client.projects.map(requests, concurrency=3))
    assert sorted(request["positive_prompt"] for request, _ in pairs) == [f"picture {n}" for n in range(6)]
    assert all(project.params.positive_prompt == request["positive_prompt"] for request, project in pairs)
    assert {project.status for _, project in pairs} == {"completed"}


async def test_many_projects_are_waited_for_at_once(sdk: Sdk, client: Any) -> None:
    projects = [await sdk.create(client) for _ in range(3)]
    done, not_done = await sdk.call(sdk.wait, projects, timeout=SOON)
    assert (done, not_done) == (set(projects), set())
    assert set(await sdk.collect(sdk.as_completed(projects, timeout=SOON))) == set(projects)


async def test_waiting_for_the_first_leaves_the_others(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    first = await sdk.create(client)
    await sdk.call(first.wait, timeout=SOON)
    supernet.pause_workers()
    second = await sdk.create(client)
    done, not_done = await sdk.call(sdk.wait, [first, second], return_when="FIRST_COMPLETED")
    assert (done, not_done) == ({first}, {second})
    supernet.resume_workers()
    await sdk.call(second.wait, timeout=SOON)


async def test_catalogue(sdk: Sdk, client: Any) -> None:
    models = await sdk.call(client.projects.wait_for_models, timeout=SOON)
    supported = await sdk.call(client.projects.get_supported_models)
    options = await sdk.call(client.projects.get_model_options, "flux1-schnell-fp8")
    presets = await sdk.call(client.projects.get_size_presets, "fast", "flux1-schnell-fp8")
    fast = await sdk.call(client.projects.get_available_models, "fast")
    assert "flux1-schnell-fp8" in {model.id for model in models} <= {model.id for model in supported}
    assert {model.id for model in models} == {model.id for model in client.projects.available_models}
    assert options.type == "image"
    assert "euler" in options.sampler.allowed
    assert {preset.id for preset in presets} >= {"square", "square_hd"}
    assert {model.id for model in fast if model.worker_count} == {model.id for model in models if model.worker_count}
    assert client.projects.is_video_model_id("wan_v2.2-14b-fp8_t2v")
    assert not client.projects.is_audio_model_id("flux1-schnell-fp8")


async def test_what_is_known_of_a_project(sdk: Sdk, client: Any) -> None:
    project = await sdk.create(client, steps=2, number_of_media=2)
    await sdk.call(project.wait, timeout=SOON)
    assert isinstance(project.started_at, datetime)
    assert project.started_at.tzinfo is not None
    assert project in client.projects.tracked_projects
    assert project.job(project.jobs[0].id.lower()) is project.jobs[0]
    record = await sdk.call(client.projects.get, project.id)
    assert {job.img_id for job in record.completed_worker_jobs} == {job.id for job in project.jobs}
    snapshot = sdk.to_dict(project)
    assert snapshot == project.to_dict()
    assert [snapshot["status"], len(snapshot["jobs"])] == ["completed", 2]


async def test_a_callback_that_sleeps_delays_no_wait(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    released = asyncio.Event()
    loop = asyncio.get_running_loop()
    calls: list[int] = []

    if sdk.blocking:

        def slow(_: Any) -> None:
            calls.append(1)
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result(SOON)

    else:

        async def slow(_: Any) -> None:  # type: ignore[misc]
            calls.append(1)
            await released.wait()

    supernet.pause_workers()
    project = await sdk.create(client)
    project.on("progress", slow)
    supernet.resume_workers()
    await sdk.call(project.wait, timeout=SOON)
    assert project.finished
    await until(lambda: calls)
    released.set()


async def test_a_callback_that_fails_is_logged_and_the_next_runs(
    sdk: Sdk, client: Any, supernet: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    supernet.pause_workers()
    project = await sdk.create(client)
    project.on("completed", lambda _: 1 / 0)
    project.on("completed", heard.append)
    supernet.resume_workers()
    urls = await sdk.call(project.wait_for_completion, timeout=SOON)
    await until(lambda: heard)
    assert heard == [urls]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "asked",
    [
        {"model_id": "birefnet_image_background_removal_fp16", "apply_mask": True},
        {
            "model_id": "sam3_image_segment_bf16",
            "sam3_prompt": {"points": [{"x": 0.5, "y": 0.5, "label": "positive"}], "apply_mask": True},
        },
    ],
)
async def test_what_stands_in_front_is_cut_out(sdk: Sdk, client: Any, asked: dict[str, Any]) -> None:
    """A red disc on white (projects-5x §4.8)."""
    image = Image.new("RGB", (320, 256), "white")
    ImageDraw.Draw(image).ellipse((100, 70, 220, 190), fill="red")
    project = await sdk.create(client, **asked, starting_image=image, width=None, height=None)
    await sdk.call(project.wait, timeout=SOON)
    data = await sdk.call(project.jobs[0].get_result_data)
    with Image.open(io.BytesIO(data)) as cut:
        assert (cut.format, cut.mode, cut.size) == ("PNG", "RGBA", (320, 256))
        assert (cut.getpixel((160, 128)), cut.getpixel((10, 10))[3]) == ((255, 0, 0, 255), 0)
