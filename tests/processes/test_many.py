"""Many projects at once, from many threads on one client and in asyncio: all complete, each with its own results."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sogni
import sogni_async
from sogni.emulator import Balance, LocalSupernet

pytestmark = pytest.mark.integration


MANY = 80
ROOT = Path(__file__).resolve().parents[2]


def test_projects_from_eight_threads_keep_their_own_results() -> None:
    with LocalSupernet(step_time=0, workers=8, balance=Balance(spark=10**6, sogni=10**6)) as supernet:
        with supernet.client() as client:

            def one(number: int) -> tuple[str, list[str]]:
                project = client.projects.create(
                    type="image",
                    model_id="flux1-schnell-fp8",
                    positive_prompt=f"picture {number}",
                    number_of_media=2,
                    width=256,
                    height=256,
                    steps=2,
                )
                return project.id, project.wait_for_completion(timeout=120)

            with ThreadPoolExecutor(8) as threads:
                done = dict(threads.map(one, range(MANY)))
        check(supernet, done)


async def test_projects_in_asyncio_keep_their_own_results() -> None:
    with LocalSupernet(step_time=0, workers=8, balance=Balance(spark=10**6, sogni=10**6)) as supernet:
        async with supernet.async_client() as client:

            async def one(number: int) -> tuple[str, list[str]]:
                project = await client.projects.create(
                    type="image",
                    model_id="flux1-schnell-fp8",
                    positive_prompt=f"picture {number}",
                    number_of_media=2,
                    width=256,
                    height=256,
                    steps=2,
                )
                return project.id, await project.wait_for_completion(timeout=120)

            done = dict(await asyncio.gather(*map(one, range(MANY))))
        check(supernet, done)


def check(supernet: LocalSupernet, done: dict[str, list[str]]) -> None:
    """Every project has its own two results, and the emulator made no more."""
    assert len(done) == MANY
    assert all(
        len(set(urls)) == 2 and all(f"/{project_id}/" in url for url in urls) for project_id, urls in done.items()
    )
    assert {project["id"]: len(project["completedWorkerJobs"]) for project in supernet.projects} == dict.fromkeys(
        done, 2
    )
    assert supernet.violations == []


def test_both_packages_share_their_data_classes() -> None:
    assert sogni.ErrorData is sogni_async.ErrorData
    assert sogni.ValidationError is sogni_async.ValidationError
    assert sogni.Project is not sogni_async.Project


MANY_MORE = """
import asyncio, resource, sys
from sogni_async import SogniClient

resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))

async def main():
    async with SogniClient() as client:
        async def one(number):
            project = await client.projects.create(type="image", model_id="flux1-schnell-fp8", steps=1,
                                                   positive_prompt=f"picture {number}", width=256, height=256)
            return await project.wait_for_completion(timeout=300)

        print(sum(map(len, await asyncio.gather(*map(one, range(250))))))

asyncio.run(main())
"""


def test_250_projects_in_asyncio_need_fewer_than_128_descriptors() -> None:
    with LocalSupernet(step_time=0, workers=8, balance=Balance(spark=10**6, sogni=10**6)) as supernet:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
        }
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", MANY_MORE],
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    assert (ended.stdout, ended.stderr) == ("250\n", "")
