"""Batches on many workers, which are killed, and so is the process that runs them: every request once, paid once.

The emulator has a process of its own, which counts.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.forkserver import WITHOUT_FORK_WARNINGS, Process

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.name != "posix", reason="needs a kill that nobody can catch"),
]

SUPERNET = """
    import json, sys
    from decimal import Decimal
    from sogni.emulator import Balance, LocalSupernet
    with LocalSupernet(step_time=0.01, workers=8, balance=Balance(sogni=10_000)) as supernet:
        names = ("SOGNI_API_KEY", "SOGNI_REST_ENDPOINT", "SOGNI_SOCKET_ENDPOINT")
        values = (supernet.api_key, supernet.rest_endpoint, supernet.socket_endpoint)
        print(json.dumps(dict(zip(names, values))), flush=True)
        for line in sys.stdin:
            projects = supernet.projects
            requests = [it.data["jobID"] for it in supernet.requests if getattr(it, "type", "") == "jobRequest"]
            found = {
                "projects": len(projects),
                "completed": sum(it["status"] == "completed" for it in projects),
                "requested": len(set(requests)),
                "results": sum(len(it["completedWorkerJobs"]) for it in projects),
                "cost": str(sum(Decimal(it["costActual"]["costInToken"]) for it in projects)),
                "spent": str(10_000 - supernet.account.balance.sogni),
                "violations": len(supernet.violations),
            }
            print(json.dumps(found), flush=True)
"""
BATCH = """
    import sys
    from sogni import CostLimitError, SogniClient, WorkerError, batch
    COMMON = {"model_id": "flux1-schnell-fp8", "steps": 2, "width": 256, "height": 256}

    def run(rows, **options):
        with SogniClient() as client:
            price = client.projects.estimate(type="image", positive_prompt="", **COMMON).token
            limit = options.pop("limit", None)
            report = batch.run(
                [f"animal {number}" for number in range(rows)], "out", client=client, defaults=COMMON,
                max_cost=None if limit is None else price * limit, **options,
            )
            print(report.done + report.kept, report.failed, flush=True)
"""


class Supernet:
    """The emulator and what it counts."""

    def __init__(self, process: Process) -> None:
        self._process = process
        assert process.stdout is not None
        self.environment: dict[str, str] = json.loads(process.stdout.readline())

    def count(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def check(self, number: int) -> None:
        """Every project was requested and paid once, and no more than these."""
        found = self.count()
        assert Decimal(found.pop("spent")) == Decimal(found.pop("cost"))
        names = ("projects", "completed", "requested", "results")
        assert found == {**dict.fromkeys(names, number), "violations": 0}


def until(reached: Callable[[], Any], *processes: Process) -> None:
    """Wait for a state. A process that has ended will not reach it."""
    end = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < end, "it did not happen"
        for process in processes:
            assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def files(directory: Path) -> int:
    return len(list((directory / "out").glob("*.png")))


@pytest.fixture
def supernet(start_process: Callable[..., Process], tmp_path: Path) -> Iterator[Supernet]:
    process = start_process(dedent(SUPERNET), cwd=tmp_path, env={})
    yield Supernet(process)
    assert process.communicate()[1] == ""


@pytest.fixture
def start(start_process: Callable[..., Process], supernet: Supernet, tmp_path: Path) -> Callable[..., Process]:
    """Start a script that can run batches."""
    environment = {
        **supernet.environment,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "DASK_TEMPORARY_DIRECTORY": str(tmp_path / "dask"),
    }

    def start(code: str, *, without_fork_warnings: bool = False) -> Process:
        first = WITHOUT_FORK_WARNINGS if without_fork_warnings else ""
        return start_process(first + dedent(BATCH) + dedent(code), cwd=tmp_path, env=environment)

    return start


FOLLOWING = """
    def follow(client, project):
        with client:
            attached = client.projects.attach(project)
            return attached.wait(timeout=60).status, len(attached.save("out"))
"""
HANDLES = """
    from concurrent.futures import ProcessPoolExecutor
    sys.path.insert(0, ".")
    from following import follow

    with SogniClient() as client, ProcessPoolExecutor(1) as pool:
        project = client.projects.create(type="image", positive_prompt="a fox", number_of_media=2, **COMMON)
        print(*pool.submit(follow, client, project).result(), project.wait(timeout=60).status)
"""


def test_clients_and_projects_are_passed_to_a_process(start: Any, supernet: Supernet, tmp_path: Path) -> None:
    (tmp_path / "following.py").write_text(dedent(FOLLOWING))
    process = start(HANDLES, without_fork_warnings=True)
    assert process.communicate(timeout=120) == ("completed 2 completed\n", "")
    assert files(tmp_path) == 2


POOL = """
    import os
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        try:
            run(40, executor=pool)
        except WorkerError as error:
            print(str(error).partition(":")[0], flush=True)
    with ProcessPoolExecutor(2) as pool:
        run(40, executor=pool)
"""


def test_a_killed_process_of_a_pool_loses_no_request(start: Any, supernet: Supernet, tmp_path: Path) -> None:
    process = start(POOL)
    worker = int(process.stdout.readline())
    until(lambda: files(tmp_path) >= 5, process)
    os.kill(worker, 9)
    assert process.communicate(timeout=120) == ("the executor is broken\n40 0\n", "")
    assert files(tmp_path) == 40
    supernet.check(40)


DASK = """
    from distributed import Client

    if __name__ == "__main__":
        with Client(n_workers=2, threads_per_worker=4, dashboard_address=":0", silence_logs=50) as dask:
            print(dask.cluster.workers[0].pid, flush=True)
            options = {"executor": dask.get_executor(retries=5), "concurrency": 8}
            try:
                run(40, limit=30, **options)
            except CostLimitError as error:
                print("the limit is reached", flush=True)
                sys.stdin.readline()
                run(40, **options)
"""


def test_a_killed_worker_of_dask_is_replaced_within_one_limit(start: Any, supernet: Supernet, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    process = start(DASK)
    worker = int(process.stdout.readline())
    until(lambda: files(tmp_path) >= 5, process)
    os.kill(worker, 9)
    assert process.stdout.readline() == "the limit is reached\n"
    supernet.check(30)
    stdout, _ = process.communicate("\n", timeout=120)
    assert (stdout, files(tmp_path)) == ("40 0\n", 40)
    supernet.check(40)


ROWS = 200
KILLS = 10


def test_a_batch_that_is_killed_ten_times_pays_once(start: Any, supernet: Supernet, tmp_path: Path) -> None:
    moments = random.Random(5)
    for kill in range(KILLS):
        process = start(f"run({ROWS}, concurrency=16)")
        wanted = kill * 10 + moments.randrange(10)
        until(lambda wanted=wanted: files(tmp_path) >= wanted, process)
        time.sleep(moments.random() / 10)
        process.kill()
        assert process.wait(30) == -9
    assert start(f"run({ROWS}, concurrency=16)").communicate(timeout=120) == (f"{ROWS} 0\n", "")
    assert files(tmp_path) == ROWS
    supernet.check(ROWS)


CLUSTER = """
    from distributed import LocalCluster

    if __name__ == "__main__":
        options = {"n_workers": 2, "threads_per_worker": 8, "dashboard_address": ":0", "silence_logs": 50}
        with LocalCluster(**options) as cluster:
            print(cluster.scheduler_address, flush=True)
            sys.stdin.readline()
"""
# Forks instead of importing Dask ten times.
COORDINATORS = f"""
    import os
    from distributed import Client

    address = sys.stdin.readline().strip()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            with Client(address) as dask:
                run({ROWS}, executor=dask.get_executor(retries=5), concurrency=16)
            os._exit(0)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
"""


def test_a_batch_on_dask_that_is_killed_ten_times_pays_once(start: Any, supernet: Supernet, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    cluster, coordinators = start(CLUSTER), start(COORDINATORS, without_fork_warnings=True)

    def ask(line: str) -> None:
        coordinators.stdin.write(line + "\n")
        coordinators.stdin.flush()

    ask(cluster.stdout.readline().strip())
    moments = random.Random(6)
    for kill in range(KILLS):
        ask("")
        child = int(coordinators.stdout.readline())
        wanted = kill * 10 + moments.randrange(10)
        until(lambda wanted=wanted: files(tmp_path) >= wanted, cluster, coordinators)
        time.sleep(moments.random() / 10)
        os.kill(child, 9)
        assert coordinators.stdout.readline() == "9\n"
    stdout, _ = coordinators.communicate("\n", timeout=120)
    assert stdout.split()[1:] == [str(ROWS), "0", "0"]
    assert files(tmp_path) == ROWS
    supernet.check(ROWS)
    cluster.communicate("\n", timeout=120)
