"""`batch.run` in both packages: every request once, over several runs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

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


async def test_lines_of_the_journal_that_a_power_failure_took_are_not_paid_again(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    supernet.faults.fail_job(times=1)
    animals = ["a fox", "an owl", "a hare"]
    first = await run(sdk, animals, tmp_path, client=client)
    journal = tmp_path / "batch.journal.jsonl"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
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
