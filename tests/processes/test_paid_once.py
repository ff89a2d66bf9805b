"""A process is killed at any point, and the call is repeated with its key: one project, paid once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.forkserver import COMMAND_LINE, Process

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.name != "posix", reason="needs a kill that nobody can catch"),
]

FIELDS = (
    'type="image", model_id="flux1-schnell-fp8", positive_prompt="a fox", steps=2, width=256, height=256, '
    'starting_image="start.png", number_of_media=2, idempotency_key="order 17"'
)
BLOCKING = f"""
    from sogni import SogniClient
    with SogniClient() as client:
        project = client.projects.create({FIELDS})
        print(len(project.wait(timeout=60).save("out")))
"""
ASYNC = f"""
    import asyncio
    from sogni_async import SogniClient
    async def main():
        async with SogniClient() as client:
            project = await client.projects.create({FIELDS})
            await project.wait(timeout=60)
            print(len(await project.save("out")))
    asyncio.run(main())
"""
LINE = '{"positive_prompt": "a fox", "starting_image": "start.png", "number_of_media": 2}\n'
OPTIONS = ("--model", "flux1-schnell-fp8", "--steps", "2", "--width", "256", "--height", "256", "-o", "out")

Held = Callable[[LocalSupernet], Callable[[], Any]]
"""Holds processes at a moment. Returns what is true once one of them has come there."""


def at(fault: str, *args: Any, **options: Any) -> Held:
    """The moment of a fault, for example a request that is not answered."""

    def hold(supernet: LocalSupernet) -> Callable[[], Any]:
        rule = getattr(supernet.faults, fault)(*args, **options)
        return lambda: rule.fired

    return hold


def at_request(method: str, path: str) -> Held:
    return at("http", path, method=method, hang=True, times=100)


def without_kept_files(held: Held) -> Held:
    def hold(supernet: LocalSupernet) -> Callable[[], Any]:
        supernet.faults.http("/v1/assets/capabilities", status=403, times=100)
        return held(supernet)

    return hold


def second_download(supernet: LocalSupernet) -> Callable[[], Any]:
    supernet.faults.http("/storage/*", method="GET", delay=0.001)
    return at_request("GET", "/storage/*")(supernet)


def received(fault: str, *args: Any, **options: Any) -> Held:
    """When the service has received the request, but for a fault its sender does not learn it."""

    def hold(supernet: LocalSupernet) -> Callable[[], Any]:
        getattr(supernet.faults, fault)(*args, **options)
        return lambda: supernet.projects

    return hold


def waiting(supernet: LocalSupernet) -> Callable[[], Any]:
    supernet.pause_workers()
    return lambda: supernet.projects


def at_work(supernet: LocalSupernet) -> Callable[[], Any]:
    supernet.clock.freeze()
    return lambda: any(project["status"] == "processing" for project in supernet.projects)


def finished(supernet: LocalSupernet) -> Callable[[], Any]:
    supernet.faults.delay_frames("jobResult", seconds=60)
    return lambda: any(project["finished"] for project in supernet.projects)


STEPS: dict[str, Held] = {
    "it asks for the models": at_request("GET", "/api/v1/models/list"),
    "it asks for the account": at_request("GET", "/v1/account/me"),
    "it asks for the project": at_request("GET", "/v2/projects/*"),
    "it asks whether files are kept": at_request("GET", "/v1/assets/capabilities"),
    "it announces its file": at_request("POST", "/v1/assets/prepare"),
    "it uploads its file": at_request("PUT", "/storage/*"),
    "its file is checked": at_request("POST", "/v1/assets/*/finalize"),
    "it passes its file to the project": at_request("POST", "/v1/assets/*/bind"),
    "it asks where to upload": without_kept_files(at_request("GET", "/v1/image/uploadUrl")),
    "it uploads": without_kept_files(at_request("PUT", "/storage/*")),
    "it connects": at("refuse_upgrade", hang=True, times=100),
    "its request is lost": at("lose_request", drop=False),
    "its request is lost with the connection": at("lose_request"),
    "its request is not answered": received("delay_frames", "jobState", seconds=60),
    "its connection breaks before the answer": received("drop_socket", at="request_received"),
    "its project waits": waiting,
    "its project is at work": at_work,
    "its project has finished": finished,
    "it saves the first result": at_request("GET", "/storage/*"),
    "it saves the second result": second_download,
}


@pytest.fixture(scope="module")
def shared_supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0.02) as supernet:
        yield supernet


@pytest.fixture
def supernet(shared_supernet: LocalSupernet, tmp_path: Path) -> LocalSupernet:
    """As if it had just been started."""
    shared_supernet.reset()
    Image.new("RGB", (256, 256)).save(tmp_path / "start.png")
    return shared_supernet


@pytest.fixture
def start(supernet: LocalSupernet, tmp_path: Path, start_process: Callable[..., Process]) -> Callable[..., Process]:
    def start(code: str, *arguments: str, host: str = "one") -> Process:
        environment = {
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
            "XDG_STATE_HOME": str(tmp_path / host),
        }
        return start_process(dedent(code), *arguments, cwd=tmp_path, env=environment)

    return start


def kill_at(reached: Callable[[], Any], supernet: LocalSupernet, process: Process) -> None:
    supernet.wait_for(lambda: reached() or process.poll() is not None, timeout=60)
    process.kill()
    assert (process.communicate()[1], process.returncode) == ("", -9)
    supernet.faults.clear()
    supernet.resume_workers()
    supernet.clock.resume()


def check_paid_once(supernet: LocalSupernet) -> None:
    (project,) = supernet.projects
    assert (project["status"], len(project["completedWorkerJobs"])) == ("completed", 2)
    assert Decimal(project["costActual"]["costInToken"]) == 10_000 - supernet.account.balance.sogni > 0
    requests = [it.data["jobID"] for it in supernet.requests if getattr(it, "type", "") == "jobRequest"]
    assert (set(requests), supernet.violations) == ({project["id"]}, [])


# Each package is repeated on the same host and on another one, where it gets another app id.
VARIANTS = cycle([(BLOCKING, "one"), (ASYNC, "another"), (BLOCKING, "another"), (ASYNC, "one")])


@pytest.mark.parametrize(("step", "code", "host"), [(step, *next(VARIANTS)) for step in STEPS], ids=STEPS)
def test_a_killed_task_pays_once(supernet: LocalSupernet, start: Any, step: str, code: str, host: str) -> None:
    reached = STEPS[step](supernet)
    kill_at(reached, supernet, start(code))
    assert start(code, host=host).communicate() == ("2\n", "")
    check_paid_once(supernet)


def test_two_processes_at_once_pay_once(supernet: LocalSupernet, start: Any) -> None:
    processes = [start(BLOCKING), start(ASYNC, host="another")]
    assert [process.communicate() for process in processes] == [("2\n", ""), ("2\n", "")]
    check_paid_once(supernet)


# The first run of a batch does not ask: nobody can have used its keys.
@pytest.mark.parametrize("step", [step for step in STEPS if step != "it asks for the project"])
def test_a_killed_batch_pays_once(supernet: LocalSupernet, start: Any, tmp_path: Path, step: str) -> None:
    (tmp_path / "list.txt").write_text(LINE)
    reached = STEPS[step](supernet)
    kill_at(reached, supernet, start(COMMAND_LINE, "batch", "list.txt", *OPTIONS))
    stdout, stderr = start(COMMAND_LINE, "batch", "list.txt", *OPTIONS).communicate()
    assert (len(stdout.splitlines()), stderr.partition(",")[0]) == (2, "sogni: 1 done")
    check_paid_once(supernet)
