"""Results that are saved to URLs: to a real S3-compatible server, and to the file system in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk
from tests.scenarios.test_secrets import leaks
from tests.storages import BUCKET, SECRET, empty_memory, file_system, options_of, s3_server

pytest.importorskip("fsspec", reason="fsspec is not installed")
shared = pytest.mark.keeps_resources("fsspec keeps its thread and its connections for the whole process")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def memory() -> Iterator[Any]:
    with empty_memory() as file_system:
        yield file_system


async def finished(sdk: Sdk, client: Any, **fields: Any) -> Any:
    project = await sdk.create(client, **fields)
    return await sdk.call(project.wait, timeout=SOON)


@shared
async def test_results_are_saved_to_s3(sdk: Sdk, client: Any, endpoint: str) -> None:
    project = await finished(sdk, client, number_of_media=2)
    data = [await sdk.call(job.get_result_data) for job in project.jobs]
    options, s3, prefix = options_of(endpoint), file_system(endpoint), f"s3://{BUCKET}/{sdk.name}"
    saved = await sdk.call(project.save, f"{prefix}/", name="kite-{index}", storage_options=options)
    assert saved == [f"{prefix}/kite-{index}.png" for index in range(2)]
    assert [s3.cat_file(url) for url in saved] == data
    assert s3.info(saved[0])["ContentType"] == "image/png"
    assert await sdk.call(project.save, prefix, name="kite-{index}", storage_options=options) == saved
    s3.pipe_file(saved[0], b"precious")
    again = await sdk.call(project.save, prefix, name="kite-{index}", storage_options=options)
    assert again == [f"{prefix}/kite-0-1.png", saved[1]]
    assert [s3.cat_file(saved[0]), s3.cat_file(again[0])] == [b"precious", data[0]]
    replaced = await sdk.call(project.save, prefix, name="kite-{index}", storage_options=options, overwrite=True)
    assert (replaced, s3.cat_file(saved[0])) == (saved, data[0])
    result = await sdk.call(client.projects.get_result, project.id)
    assert await sdk.call(result.save, prefix, name="kite-{index}", storage_options=options) == saved
    assert await sdk.call(project.jobs[0].save, f"{prefix}/one", storage_options=options) == f"{prefix}/one.png"
    assert len(s3.ls(prefix)) == 4


@shared
async def test_a_refused_upload_names_the_url_and_no_secret(sdk: Sdk, client: Any, endpoint: str) -> None:
    project = await finished(sdk, client)
    nowhere = {
        **options_of(endpoint),
        "endpoint_url": "http://127.0.0.1:9",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    cases: list[tuple[type[OSError], str, dict[str, Any]]] = [
        (FileNotFoundError, "s3://no-such-bucket", options_of(endpoint)),
        (OSError, f"s3://{BUCKET}", nowhere),
    ]
    for kind, url, options in cases:
        with pytest.raises(kind, match=f"^cannot save to {url}/kite.png: ") as caught:
            await sdk.call(project.save, url, name="kite", storage_options=options)
        assert leaks(caught.value, [SECRET]) == []


async def test_every_save_takes_a_url(sdk: Sdk, client: Any, memory: Any) -> None:
    project = await finished(sdk, client)
    assert await sdk.call(project.save, "memory://out", name="kite") == ["memory://out/kite.png"]
    assert await sdk.call(project.jobs[0].save, "memory://kite.png") == "memory://kite.png"
    call = {"id": "1", "function": {"name": "generate_image", "arguments": '{"prompt": "a red kite"}'}}
    result = await sdk.call(client.chat.tools.execute, call)
    for number in range(2):
        urls = await sdk.call(client.chat.tools.save, result, "memory://tools")
        assert urls == [f"memory://tools/generate_image-{number}.png"]
    step = {"tool_name": "generate_image", "arguments": {"prompt": "a red kite"}}
    workflow = await sdk.call(client.workflows.start, input={"steps": [step]})
    workflow = await sdk.call(client.workflows.wait, workflow.workflow_id, timeout=SOON)
    (url,) = await sdk.call(client.workflows.save_artifacts, workflow.workflow_id, "memory://steps")
    assert memory.cat_file(url).startswith(b"\x89PNG")
    assert memory.cat_file("memory://kite.png") == await sdk.call(project.jobs[0].get_result_data)
    assert [path for path in memory.find("/") if path.endswith(".part")] == []


async def test_invalid_storage_downloads_nothing(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    project = await finished(sdk, client)
    cases: list[tuple[str, Any]] = [
        ("nonsense://bucket", {"key": SECRET}),
        ("https://example.com/pictures", None),
        (f"ftp://ada:{SECRET}@example.com/pictures", None),
        (str(tmp_path / "out"), {"key": SECRET}),
        ("s3://bucket/prefix", SECRET),
    ]
    for url, options in cases:
        with pytest.raises(sdk.ValidationError) as caught:
            await sdk.call(project.save, url, storage_options=options)
        assert leaks(caught.value, [SECRET]) == []
    assert [it for it in supernet.requests if getattr(it, "path", "").startswith("/storage/")] == []
    assert list(tmp_path.iterdir()) == []


async def test_a_failed_download_stores_nothing(sdk: Sdk, client: Any, supernet: LocalSupernet, memory: Any) -> None:
    project = await finished(sdk, client)
    supernet.faults.http("*", status=403, times=100)
    with pytest.raises(sdk.ApiError):
        await sdk.call(project.save, "memory://out")
    assert memory.find("/") == []
