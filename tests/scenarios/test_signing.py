"""A result that has arrived and whose URL is still requested: it is waited for, not denied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, until

DOWNLOAD_URL = "/v1/image/downloadUrl"


def asked(supernet: LocalSupernet) -> list[Any]:
    """The requests for URLs of results."""
    return [it for it in supernet.requests if getattr(it, "path", "") == DOWNLOAD_URL]


@asynccontextmanager
async def being_signed(sdk: Sdk, supernet: LocalSupernet, client: Any) -> AsyncIterator[Any]:
    """A project whose result has arrived, while the service takes its time to answer with the URL."""
    supernet.faults.http(DOWNLOAD_URL, delay=0.4)
    project = await sdk.create(client)
    await until(lambda: asked(supernet))
    assert [job.status for job in project.jobs] == ["processing"]
    yield project
    await sdk.call(project.wait, timeout=SOON)


@pytest.mark.parametrize("method", ["get_result_url", "get_result_data", "save", "open"])
async def test_a_result_whose_url_is_requested_is_waited_for(
    sdk: Sdk, supernet: LocalSupernet, client: Any, tmp_path: Path, method: str
) -> None:
    async with being_signed(sdk, supernet, client) as project:
        job = project.jobs[0]
        found = await sdk.call(getattr(job, method), *([tmp_path / "result"] if method == "save" else []))
        assert (job.status, bool(found)) == ("completed", True)
        if method == "get_result_url":
            assert found == job.result_url
        if method == "open":
            await sdk.call(found.close)
    assert len(asked(supernet)) == 1


async def test_saving_a_project_includes_a_result_whose_url_is_requested(
    sdk: Sdk, supernet: LocalSupernet, client: Any, tmp_path: Path
) -> None:
    async with being_signed(sdk, supernet, client) as project:
        assert len(await sdk.call(project.save, tmp_path)) == 1


async def test_closing_the_client_ends_the_wait_for_a_url(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        supernet.faults.http(DOWNLOAD_URL, delay=20)
        project = await sdk.create(client)
        await until(lambda: asked(supernet))
        waiting = asyncio.ensure_future(sdk.call(project.jobs[0].get_result_url))
        await asyncio.sleep(0)
    with pytest.raises(sdk.ClientClosedError):
        await waiting


async def test_a_url_is_returned_although_another_job_is_not_finished(sdk: Sdk) -> None:
    with LocalSupernet(step_time=0.05, workers=1) as supernet:
        async with sdk.client(supernet) as client:
            supernet.faults.http(DOWNLOAD_URL, delay=0.6)
            supernet.faults.http(DOWNLOAD_URL, delay=30)
            project = await sdk.create(client, number_of_media=2, steps=4)
            await until(lambda: asked(supernet))
            first = next(job for job in project.jobs if job.progress == 100)
            assert (first.status, bool(await sdk.call(first.get_result_url))) == ("processing", True)
            assert (first.status, project.finished) == ("completed", False)
