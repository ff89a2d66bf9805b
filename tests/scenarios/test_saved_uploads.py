"""Files that the service keeps: one file for many projects is transferred once."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet, UploadLimits
from tests.emulator.media.helpers import clip, tone
from tests.scenarios.conftest import SOON, Sdk

START = {"starting_image_strength": 0.5}


def image(color: str = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(image())
    return path


def sent(supernet: LocalSupernet, method: str, path: str = "") -> list[Any]:
    """The requests with a method whose path contains a text."""
    return [it for it in supernet.requests if getattr(it, "method", "") == method and path in it.path]


async def finished(sdk: Sdk, client: Any, **fields: Any) -> Any:
    project = await sdk.create(client, **{**START, **fields})
    await sdk.call(project.wait, timeout=SOON)
    return project


async def test_one_file_for_a_hundred_projects_is_transferred_once(
    sdk: Sdk, client: Any, supernet: LocalSupernet, path: Path
) -> None:
    limit = asyncio.Semaphore(10)

    async def one(number: int) -> Any:
        async with limit:
            return await sdk.create(client, starting_image=path, positive_prompt=f"kite {number}", **START)

    projects = await asyncio.gather(*(one(number) for number in range(100)))
    for project in projects:
        assert (await sdk.call(project.wait, timeout=SOON)).status == "completed"
    assert len(sent(supernet, "PUT")) == 1
    assert sent(supernet, "GET", "uploadUrl") == []
    assert len(sent(supernet, "GET", "/v1/assets/capabilities")) == 1
    bound = sorted(it.body["projectId"] for it in sent(supernet, "POST", "/bind"))
    assert bound == sorted(project.id for project in projects)
    assert supernet.violations == []


@pytest.mark.parametrize("kind", ["path", "bytes", "file", "image", "job"])
async def test_every_kind_of_input_is_reused(
    sdk: Sdk, client: Any, supernet: LocalSupernet, path: Path, kind: str
) -> None:
    given: dict[str, Callable[[], Any]] = {
        "path": lambda: path,
        "bytes": image,
        "file": lambda: io.BytesIO(image()),
        "image": lambda: Image.open(path),
        "job": lambda: made.jobs[0],
    }
    made = await finished(sdk, client, starting_image=image("navy"), seed=1)
    before = len(sent(supernet, "PUT"))
    results = []
    for _ in range(2):
        project = await finished(sdk, client, starting_image=given[kind](), seed=7)
        results.append(await sdk.call(project.jobs[0].get_result_data))
    assert len(sent(supernet, "PUT")) == before + 1
    async with sdk.client(supernet, saved_uploads=False) as other:
        usual = await finished(sdk, other, starting_image=path, seed=7)
        results.append(await sdk.call(usual.jobs[0].get_result_data))
    assert len(set(results)) == (2 if kind == "job" else 1)
    assert supernet.violations == []


async def test_video_and_audio_are_reused(sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path) -> None:
    (tmp_path / "dance.mp4").write_bytes(clip(tmp_path / "made.mp4"))
    small = {"type": "video", "duration": 1, "width": 480, "height": 480, "positive_prompt": "a keeper"}
    for model, fields in (
        ("wan_v2.2-14b-fp8_s2v_lightx2v", {"reference_audio": tone(2)}),
        ("wan_v2.2-14b-fp8_animate-move_lightx2v", {"reference_video": tmp_path / "dance.mp4"}),
    ):
        for _ in range(2):
            project = await sdk.call(client.projects.create, **small, model_id=model, reference_image=image(), **fields)
            assert (await sdk.call(project.wait, timeout=SOON)).status == "completed"
    assert len(sent(supernet, "PUT")) == 3
    assert supernet.violations == []


async def test_projects_without_media_send_no_further_request(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    await sdk.create(client)
    assert sent(supernet, "GET", "/v1/assets") + sent(supernet, "POST") == []


async def test_the_setting_turns_it_off(sdk: Sdk, supernet: LocalSupernet, path: Path) -> None:
    async with sdk.client(supernet, saved_uploads=False) as client:
        for _ in range(2):
            await finished(sdk, client, starting_image=path)
        assert (len(sent(supernet, "PUT")), sent(supernet, "GET", "/v1/assets")) == (2, [])
        assert (await sdk.call(client.projects.assets.upload, path)).state == "ready"


async def test_without_the_capability_files_are_uploaded_each_time(sdk: Sdk, path: Path) -> None:
    with LocalSupernet(step_time=0, saved_uploads=False) as supernet:
        async with sdk.client(supernet) as client:
            for _ in range(2):
                await finished(sdk, client, starting_image=path)
            assert not (await sdk.call(client.projects.assets.capabilities)).enabled
            with pytest.raises(sdk.PermissionDeniedError):
                await sdk.call(client.projects.assets.list)
        assert (len(sent(supernet, "PUT")), len(sent(supernet, "GET", "capabilities"))) == (2, 1)


async def test_a_full_library_does_not_keep_a_project_from_being_created(sdk: Sdk, path: Path) -> None:
    with LocalSupernet(step_time=0, saved_uploads=UploadLimits(entries=1)) as supernet:
        async with sdk.client(supernet) as client:
            saved = await sdk.call(client.projects.assets.upload, image("red"))
            for _ in range(2):
                await finished(sdk, client, starting_image=path)
            assert (len(sent(supernet, "PUT")), len(sent(supernet, "POST", "prepare"))) == (3, 2)
            with pytest.raises(sdk.ConflictError, match="full"):
                await sdk.call(client.projects.assets.upload, path)
            await sdk.call(client.projects.assets.remove, saved.id)
            for _ in range(2):
                await finished(sdk, client, starting_image=path)
            assert len(sent(supernet, "PUT")) == 4


async def test_a_busy_service_is_waited_for(sdk: Sdk, client: Any, supernet: LocalSupernet, path: Path) -> None:
    busy = [supernet.faults.http(f"/v1/assets/*{it}", status=423) for it in ("prepare", "finalize", "bind")]
    project = await finished(sdk, client, starting_image=path)
    assert (project.status, [it.fired for it in busy]) == ("completed", [1, 1, 1])


@pytest.mark.parametrize(
    ("place", "fault", "kind"),
    [
        ("/storage/saved/*", {"status": 403}, "PermissionDeniedError"),
        ("/storage/saved/*", {"status": 307}, "ApiError"),
        ("/v1/assets/*/finalize", {"status": 409}, "ConflictError"),
        ("/v1/assets/*/bind", {"status": 429}, "RateLimitError"),
        ("/v1/assets/prepare", {"disconnect": True}, "SogniConnectionError"),
    ],
)
async def test_a_failure_after_the_preparation_ends_the_project(
    sdk: Sdk, client: Any, supernet: LocalSupernet, path: Path, place: str, fault: dict[str, Any], kind: str
) -> None:
    supernet.faults.http(place, times=9, **fault)
    with pytest.raises(getattr(sdk, kind)):
        await sdk.create(client, starting_image=path)
    assert (supernet.projects, sent(supernet, "GET", "uploadUrl")) == ([], [])


async def test_a_transfer_that_is_cut_is_repeated(sdk: Sdk, client: Any, supernet: LocalSupernet, path: Path) -> None:
    cut = supernet.faults.http("/storage/saved/*", disconnect=True)
    assert (await finished(sdk, client, starting_image=path)).status == "completed"
    assert cut.fired == 1


async def test_two_files_are_transferred_at_a_time(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    slow = supernet.faults.http("/storage/saved/*", delay=0.2, times=9)
    most = 0

    async def watch() -> None:
        nonlocal most
        while slow.fired < 6:
            running = [it for it in sent(supernet, "PUT") if it.status is None]
            most = max(most, len(running))
            await asyncio.sleep(0.01)

    colors = ("red", "green", "blue", "gold", "navy", "teal")
    uploads = (sdk.call(client.projects.assets.upload, image(color)) for color in colors)
    await asyncio.gather(watch(), *uploads)
    assert most == 2


async def test_saved_files_can_be_listed_bound_and_removed(
    sdk: Sdk, client: Any, supernet: LocalSupernet, path: Path
) -> None:
    assets = client.projects.assets
    saved = await sdk.call(assets.upload, path, name="A picture")
    found = await sdk.call(assets.list)
    assert ([it.id for it in found.assets], found.limits.file_bytes) == ([saved.id], 100 * 1024 * 1024)
    assert (saved.name, saved.bytes, saved.content_type) == ("A picture", path.stat().st_size, "image/png")
    assert 29 < (saved.expires_at - saved.created_at).days <= 30
    assert found == sdk.from_dict(sdk.SavedUploadList, sdk.to_dict(found))
    project = "0A0A0A0A-0000-4000-8000-000000000001"
    await sdk.call(assets.bind, saved.id, project_id=project, type="startingImage")
    url = await sdk.call(client.projects.download_url, image_id="I", job_id=project, type="startingImage")
    assert url
    await sdk.call(assets.remove, saved.id)
    for call, keywords in ((assets.remove, {}), (assets.bind, {"project_id": project, "type": "startingImage"})):
        with pytest.raises(sdk.NotFoundError, match=saved.id):
            await sdk.call(call, saved.id, **keywords)
    assert supernet.violations == []
