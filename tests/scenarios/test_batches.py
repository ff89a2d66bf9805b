"""`batch.run` in both packages: every request once, over several runs."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import sogni.local.batch_worker as batch_worker
from sogni.core.projects import idempotency
from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import MODEL, Sdk

COMMON = {"model_id": MODEL, "steps": 1, "width": 256, "height": 256}


def requested(supernet: LocalSupernet) -> int:
    return sum(getattr(it, "type", None) == "jobRequest" for it in supernet.requests)


async def run(sdk: Sdk, *arguments: Any, **options: Any) -> Any:
    batch = importlib.import_module(f"{sdk.name}.batch")
    return await sdk.call(batch.run, *arguments, **{"defaults": COMMON, **options})


async def test_a_second_run_keeps_what_the_first_saved(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    wide = sdk.ImageProjectParams(model_id=MODEL, positive_prompt="a hare", steps=2)
    first = await run(sdk, ["a fox", {"positive_prompt": "an owl"}], tmp_path, client=client)
    again = await run(sdk, [wide, {"positive_prompt": "an owl"}, "a fox"], tmp_path, client=client)
    assert [(it.done, it.failed, it.kept) for it in (first, again)] == [(2, 0, 0), (1, 0, 2)]
    assert [it.status for it in again.items] == ["done", "kept", "kept"]
    assert {path.suffix for it in again.items for path in it.paths if path.exists()} == {".png"}
    assert (first.cost > 0, first.items[0].cost is not None, first.items[0].token_type) == (True, True, "sogni")
    assert requested(supernet) == 3


async def test_only_projects_that_may_exist_are_looked_up(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    def looked_up() -> int:
        return sum(getattr(it, "path", "").startswith("/v2/projects/") for it in supernet.requests)

    await run(sdk, ["a fox", "an owl"], tmp_path, client=client)
    assert looked_up() == 0
    # In the next run, the journal may have lost lines.
    report = await run(sdk, ["a fox", "an owl", "a hare"], tmp_path, client=client)
    assert (looked_up() > 0, report.done, report.kept) == (True, 1, 2)


async def test_lines_of_the_journal_that_a_power_failure_took_are_not_paid_again(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path
) -> None:
    supernet.faults.fail_job(times=1)
    animals = ["a fox", "an owl", "a hare"]
    async with sdk.client(supernet) as client:
        first = await run(sdk, animals, tmp_path, client=client)
    journal = tmp_path / "batch.journal.jsonl"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    idempotency._sent.clear()  # as in another process
    async with sdk.client(supernet) as client:
        again = await run(sdk, animals, tmp_path, client=client)
        last = await run(sdk, animals, tmp_path, client=client)
    # The failed one is found, too, and so repeated only by the run after.
    assert [(it.done, it.failed, it.kept) for it in (first, again, last)] == [(2, 1, 0), (2, 1, 0), (1, 0, 2)]
    assert requested(supernet) == 4


async def test_a_file_is_run_with_the_client_of_the_environment(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOGNI_API_KEY", supernet.api_key)
    monkeypatch.setenv("SOGNI_REST_ENDPOINT", supernet.rest_endpoint)
    monkeypatch.setenv("SOGNI_SOCKET_ENDPOINT", supernet.socket_endpoint)
    (tmp_path / "list.csv").write_text("prompt,steps\na fox,1\nan owl,2\n")
    report = await run(sdk, tmp_path / "list.csv", tmp_path / "out", report=tmp_path / "r.html", progress=True)
    assert (report.done, report.failed, (tmp_path / "r.html").exists()) == (2, 0, True)
    assert (tmp_path / "out" / "list.journal.jsonl").exists()


async def test_nothing_is_sent_if_a_request_is_invalid(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    bad = ["a fox", {"positive_prompt": "an owl", "steps": "many"}, {"starting_image": "none.png"}]
    with pytest.raises(sdk.ValidationError) as caught:
        await run(sdk, bad, tmp_path, client=client)
    (finding,) = caught.value.findings
    assert (finding.place, finding.field, finding.value) == ("requests[1]", "steps", "many")
    assert (supernet.requests, list(tmp_path.iterdir())) == ([], [])
    report = await run(sdk, bad, tmp_path, client=client, skip_bad_rows=True)
    assert [it.status for it in report.items] == ["done", "failed", "failed"]
    assert [type(it.error) for it in report.items[1:]] == [sdk.ValidationError] * 2


async def test_failures_are_repeated_and_the_rest_reported(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    supernet.faults.fail_job(times=2)
    report = await run(sdk, ["a fox"], tmp_path, client=client, retry_failed=1)
    assert (report.failed, type(report.items[0].error), requested(supernet)) == (1, sdk.ProjectFailedError, 2)
    supernet.faults.fail_job(times=1)
    report = await run(sdk, ["a fox"], tmp_path, client=client, retry_failed=1)
    assert (report.done, requested(supernet)) == (1, 4)


async def test_the_limit_holds_and_the_report_is_written(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    price = (await sdk.call(client.projects.estimate, type="image", positive_prompt="", **COMMON)).token
    with pytest.raises(sdk.CostLimitError, match="max_cost"):
        await run(sdk, ["a fox", "an owl"], tmp_path, client=client, max_cost=price, report=tmp_path / "r.json")
    assert (requested(supernet), (tmp_path / "r.json").exists()) == (1, True)


@pytest.mark.parametrize(
    ("source", "options", "error"),
    [
        (7, {}, TypeError),
        ({"positive_prompt": "a fox"}, {}, TypeError),
        ([], {"concurrency": 0}, ValueError),
        ([], {"retry_failed": -1}, ValueError),
        ([], {"report": "report.pdf"}, ValueError),
        ("none.csv", {}, OSError),
    ],
)
async def test_invalid_arguments_are_refused(
    sdk: Sdk, client: Any, tmp_path: Path, source: Any, options: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await run(sdk, source, tmp_path, client=client, **options)


# -- with an executor


class Workers(Executor):
    """Threads that get pickled tasks, as other processes would. `lose` errors replace results that had been paid."""

    def __init__(self, *lose: Exception) -> None:
        self.lose = list(lose)
        self.seen: list[str] = []
        self.threads = ThreadPoolExecutor(4)

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        self.seen.append(repr(arguments))
        task = pickle.dumps((function, arguments))

        def work() -> Any:
            run, given = pickle.loads(task)
            result = pickle.loads(pickle.dumps(run(*given)))
            if self.lose:
                raise self.lose.pop()
            return result

        return self.threads.submit(work)


@pytest.fixture
def workers() -> Iterator[Workers]:
    opened = Workers()
    with opened.threads:
        yield opened


async def test_workers_save_what_the_batch_reports(
    sdk: Sdk, client: Any, supernet: LocalSupernet, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (256, 256)).save("start.png")
    rows = [
        "a fox",
        {"positive_prompt": "an owl", "starting_image": "start.png"},
        {"positive_prompt": "a hare", "steps": 2, "starting_image": memoryview((tmp_path / "start.png").read_bytes())},
    ]
    first = await run(sdk, rows, "out", client=client, executor=workers, report="out/r.html")
    assert (first.done, first.failed, first.kept, client.is_connected) == (3, 0, 0, False)
    assert {path.parent for it in first.items for path in it.paths if path.exists()} == {Path("out")}
    assert first.items[0].cost > 0
    again = await run(sdk, rows, "out", client=client, executor=workers)
    assert (again.kept, requested(supernet), len(workers.seen)) == (3, 3, 3)
    assert supernet.api_key not in "".join(workers.seen)
    assert batch_worker._clients == {}


@pytest.mark.parametrize("distributed", [False, True])
async def test_results_are_saved_to_a_url_if_there_is_a_journal(
    sdk: Sdk, client: Any, supernet: LocalSupernet, workers: Workers, tmp_path: Path, distributed: bool
) -> None:
    fsspec = pytest.importorskip("fsspec")
    place = f"memory://{tmp_path.name}"
    options = {"client": client, "executor": workers if distributed else None, "report": tmp_path / "r.html"}
    with pytest.raises(sdk.ValidationError, match="pass a journal to save to a URL"):
        await run(sdk, ["a fox"], place, **options)
    for number in range(2):
        report = await run(sdk, ["a fox"], place, journal=tmp_path / "journal", **options)
        ((url,),) = [it.paths for it in report.items]
        assert (report.kept, url.startswith(f"{place}/")) == (number, True)
        assert url in (tmp_path / "r.html").read_text()
    memory = fsspec.filesystem("memory")
    assert (memory.info(url)["size"] > 0, requested(supernet)) == (True, 1)
    memory.rm(place, recursive=True)


async def test_a_lost_worker_is_repeated_and_pays_once(
    sdk: Sdk, client: Any, supernet: LocalSupernet, workers: Workers, tmp_path: Path
) -> None:
    workers.lose = [MemoryError("killed")]
    report = await run(sdk, ["a fox"], tmp_path, client=client, executor=workers)
    (item,) = report.items
    assert (item.status, type(item.error), item.project_id) == ("failed", sdk.WorkerError, supernet.projects[0]["id"])
    assert "MemoryError: killed" in str(item.error)
    workers.lose = [MemoryError("killed")]
    report = await run(sdk, ["a fox", "an owl"], tmp_path, client=client, executor=workers, retry_failed=1)
    assert (report.done, len(supernet.projects)) == (2, 2)
    assert len(list(tmp_path.glob("*.png"))) == 2


async def test_a_broken_executor_ends_the_batch_and_the_next_run_continues(
    sdk: Sdk, client: Any, supernet: LocalSupernet, workers: Workers, tmp_path: Path
) -> None:
    workers.lose = [BrokenProcessPool("killed")]
    with pytest.raises(sdk.WorkerError, match="run the batch again") as caught:
        await run(sdk, ["a fox", "an owl"], tmp_path, client=client, executor=workers, concurrency=1, retry_failed=3)
    assert caught.value.__notes__ == ["1 of 2 requests were not started"]
    ended = Workers()
    ended.threads.shutdown()
    with pytest.raises(sdk.WorkerError, match="is broken"):
        await run(sdk, ["a fox", "an owl"], tmp_path, client=client, executor=ended)
    report = await run(sdk, ["a fox", "an owl"], tmp_path, client=client, executor=workers)
    assert (report.done, len(supernet.projects)) == (2, 2)


async def test_the_limit_holds_for_all_workers_together(
    sdk: Sdk, client: Any, supernet: LocalSupernet, workers: Workers, tmp_path: Path
) -> None:
    price = (await sdk.call(client.projects.estimate, type="image", positive_prompt="", **COMMON)).token
    prompts = [f"animal {number}" for number in range(6)]
    options = {"client": client, "executor": workers, "max_cost": price * 2}
    with pytest.raises(sdk.CostLimitError, match="max_cost"):
        await run(sdk, prompts, tmp_path, **options)
    assert len(supernet.projects) == 2
    supernet.faults.fail_job(times=1)
    with pytest.raises(sdk.CostLimitError, match="max_cost"):
        await run(sdk, prompts, tmp_path, retry_failed=3, **options)
    assert len(supernet.projects) == 4


async def test_failed_projects_are_repeated_and_refused_ones_reported(
    sdk: Sdk, client: Any, supernet: LocalSupernet, workers: Workers, tmp_path: Path
) -> None:
    supernet.faults.fail_job(times=2)
    rows = ["a fox", {"positive_prompt": "an owl", "model_id": "none-such"}]
    report = await run(sdk, rows, tmp_path, client=client, executor=workers, retry_failed=1)
    assert [type(it.error) for it in report.items] == [sdk.ProjectFailedError, sdk.ValidationError]
    report = await run(sdk, ["a fox"], tmp_path, client=client, executor=workers)
    assert (report.done, len(supernet.projects)) == (1, 3)


async def test_workers_of_another_account_send_nothing(
    sdk: Sdk, supernet: LocalSupernet, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOGNI_API_KEY", supernet.api_key)
    other = supernet.add_account("other", "a good password", api_key="other-key-1234")
    async with sdk.client(supernet, api_key=None) as client:
        await sdk.call(client.account.me)
        monkeypatch.setenv("SOGNI_API_KEY", other.api_key)
        with pytest.raises(sdk.AuthenticationError, match="another account"):
            await run(sdk, ["a fox"], tmp_path, client=client, executor=workers)
        monkeypatch.delenv("SOGNI_API_KEY")
        with pytest.raises(sdk.AuthenticationError, match="SOGNI_API_KEY"):
            await run(sdk, ["a fox"], tmp_path, client=client, executor=workers)
    assert supernet.projects == []


async def test_an_executor_is_checked_before_anything_is_sent(
    sdk: Sdk, client: Any, supernet: LocalSupernet, workers: Workers, tmp_path: Path
) -> None:
    for wrong in (4, ThreadPoolExecutor, type("Cluster", (), {"get_executor": None})()):
        with pytest.raises(TypeError, match=r"executor must be a concurrent.futures.Executor"):
            await run(sdk, ["a fox"], tmp_path, client=client, executor=wrong)
    async with sdk.client(supernet, api_key=None, auth_type="token") as signed_out:
        with pytest.raises(sdk.ValidationError, match="client must have an api_key"):
            await run(sdk, ["a fox"], tmp_path, client=signed_out, executor=workers)
    assert (supernet.requests, list(tmp_path.iterdir())) == ([], [])
