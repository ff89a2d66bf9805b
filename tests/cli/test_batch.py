"""`sogni batch`: many projects from a file, over several runs, each paid once."""

from __future__ import annotations

import csv
import json
import re
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from sogni import SogniClient
from sogni.emulator import LocalSupernet
from sogni.transport.websocket import SerialSocket
from tests.cli.conftest import requested
from tests.forkserver import Process

Sogni = Callable[..., Result]
Start = Callable[..., Process]
MODEL = ("--model", "flux1-schnell-fp8", "--steps", "1")


SUMMARY = re.compile(r"sogni: (\d+) done, (\d+) failed, (\d+) kept, cost [\d.]+( \w+)?, time [\d.]+ s\n")


def counts(stderr: str) -> tuple[int, ...]:
    """Done, failed and kept requests in the summary, if that is all there is on standard error."""
    found = SUMMARY.fullmatch(stderr)
    assert found is not None, stderr
    return tuple(map(int, found.groups()[:3]))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    def write(*lines: Any) -> None:
        text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        (tmp_path / "list.txt").write_text(text, encoding="utf-8")

    return write


def prompts(supernet: LocalSupernet) -> list[str]:
    return [request["keyFrames"][0]["positivePrompt"] for request in requested(supernet)]


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def pictures(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.png"))


def test_every_line_becomes_files(sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path) -> None:
    write("# animals", "a fox", "", {"positive_prompt": "an owl", "width": 320, "height": 256, "number_of_media": 2})
    result = sogni("batch", "list.txt", *MODEL, "--width", "256", "--height", "256", "-o", "out")
    assert (result.exit_code, counts(result.stderr)) == (0, (2, 0, 0))
    printed = [tmp_path / line for line in result.stdout.splitlines()]
    assert sorted(printed) == pictures(tmp_path / "out")
    assert sorted(map(size, printed)) == [(256, 256), (320, 256), (320, 256)]
    assert sorted(prompts(supernet)) == ["a fox", "an owl"]


def test_a_second_run_does_only_what_is_new(sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path) -> None:
    write("a fox", "an owl")
    assert sogni("batch", "list.txt", *MODEL).exit_code == 0
    before = pictures(tmp_path)
    write("a hare", "an owl", "a fox", "a fox")
    result = sogni("batch", "list.txt", *MODEL)
    assert (result.exit_code, counts(result.stderr)) == (0, (2, 0, 2))
    assert sorted(prompts(supernet)) == ["a fox", "a fox", "a hare", "an owl"]
    new = [tmp_path / line for line in result.stdout.splitlines()]
    assert sorted([*before, *new]) == pictures(tmp_path)
    nothing = sogni("batch", "list.txt", *MODEL)
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (0, "", "")


def test_a_result_that_was_deleted_is_fetched_again(
    sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    write("a fox")
    sogni("batch", "list.txt", *MODEL)
    (picture,) = pictures(tmp_path)
    content = picture.read_bytes()
    picture.unlink()
    assert sogni("batch", "list.txt", *MODEL).stdout == f"{picture.name}\n"
    assert (picture.read_bytes(), len(requested(supernet))) == (content, 1)


def again(projects: Sequence[Mapping[str, Any]]) -> str:
    """How a message ends that says what to do about running projects."""
    ids = " ".join(sorted(project["id"] for project in projects))
    return f"run the same command again to collect them, or 'sogni project save {ids}'\n"


def test_a_line_whose_results_cannot_be_downloaded_names_the_command_that_saves_them(
    sogni: Sogni, write: Any, supernet: LocalSupernet
) -> None:
    write("a fox")
    supernet.faults.http("/storage/*", method="GET", status=404, times=20)
    result = sogni("batch", "list.txt", *MODEL)
    assert result.exit_code == 1
    assert f"; 'sogni project save {supernet.projects[0]['id']}' fetches its results\n" in result.stderr


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_continued(
    sogni: Sogni, start: Start, write: Any, supernet: LocalSupernet, tmp_path: Path, ending: signal.Signals
) -> None:
    write(*(f"animal {number}" for number in range(6)))
    supernet.pause_workers()
    process = start("batch", "list.txt", *MODEL, "--concurrency", "3")
    supernet.wait_for(lambda: len(supernet.projects) == 3)
    process.send_signal(ending)
    stdout, stderr = process.communicate(timeout=30)
    supernet.resume_workers()
    assert stdout == ""
    if ending is signal.SIGINT:
        assert process.returncode == 130
        assert stderr == f"sogni: interrupted; 3 projects continue: {again(supernet.projects)}"
    result = sogni("batch", "list.txt", *MODEL, "--concurrency", "3")
    assert (result.exit_code, counts(result.stderr)) == (0, (6, 0, 0))
    assert sorted(prompts(supernet)) == [f"animal {number}" for number in range(6)]
    assert len(pictures(tmp_path)) == 6


def test_an_interruption_right_after_sending_counts_the_project(
    sogni: Sogni, write: Any, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a fox", "an owl")
    supernet.pause_workers()
    send = SerialSocket.send_at_once

    def interrupted(self: SerialSocket, frame: bytes) -> int:
        sent.append(send(self, frame))
        if len(sent) == 2:
            raise KeyboardInterrupt
        return sent[-1]

    sent: list[int] = []
    monkeypatch.setattr(SerialSocket, "send_at_once", interrupted)
    result = sogni("batch", "list.txt", *MODEL)
    assert result.exit_code == 130
    assert result.stderr == f"sogni: interrupted; 2 projects continue: {again(supernet.projects)}"
    monkeypatch.setattr(SerialSocket, "send_at_once", send)
    supernet.resume_workers()
    assert sogni("batch", "list.txt", *MODEL).exit_code == 0
    assert sorted(prompts(supernet)) == ["a fox", "an owl"]


def test_an_interrupted_batch_counts_only_its_own_projects(start: Start, write: Any, supernet: LocalSupernet) -> None:
    write("a fox", "an owl")
    supernet.pause_workers()
    other = start("image", "a hare", *MODEL)
    supernet.wait_for(lambda: supernet.projects)
    other.kill()
    other.communicate(timeout=30)
    process = start("batch", "list.txt", *MODEL)
    supernet.wait_for(lambda: len(supernet.projects) == 3)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert stderr == f"sogni: interrupted; 2 projects continue: {again(supernet.projects[1:])}"


def file_size(limit: int) -> dict[int, int]:
    """Let writing to a file fail at a size in bytes, as on a full disk."""
    return {resource.RLIMIT_FSIZE: limit}


def test_a_full_disk_is_reported_with_how_to_continue(
    sogni: Sogni, start: Start, write: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    write("a fox", "an owl")
    process = start("batch", "list.txt", *MODEL, "-o", "out", "--concurrency", "1", limits=file_size(2000))
    stdout, stderr = process.communicate(timeout=30)
    (project,) = supernet.projects
    assert (process.returncode, stdout) == (1, "")
    assert (
        f"sogni: out: File too large (list.txt:1: project {project['id']} has finished, but its results were not "
        "saved); "
        f"run the same command again to continue, or 'sogni project save {project['id']}'\n"
    ) in stderr
    result = sogni("batch", "list.txt", *MODEL, "-o", "out")
    assert (result.exit_code, len(pictures(tmp_path / "out")), len(requested(supernet))) == (0, 2, 2)


def test_an_unwritable_journal_stops_before_anything_is_paid_for(
    sogni: Sogni, start: Start, write: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    write("a fox", "an owl")
    process = start("batch", "list.txt", *MODEL, "-o", "out", limits=file_size(100))
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, requested(supernet)) == (1, [])
    words = "File too large; run the same command again to continue"
    assert f"sogni: out/list.journal.jsonl: {words}\n" in stderr
    result = sogni("batch", "list.txt", *MODEL, "-o", "out")
    assert (result.exit_code, len(pictures(tmp_path / "out"))) == (0, 2)


def test_a_timeout_cancels_nothing(sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path) -> None:
    write("a fox", "an owl")
    supernet.pause_workers()
    result = sogni("batch", "list.txt", *MODEL, "--timeout", "1.5", "--concurrency", "1")
    assert result.exit_code == 124
    assert result.stderr == (
        "sogni: 2 of 2 requests did not finish within 1.5 seconds; 1 project continues: " + again(supernet.projects)
    )
    supernet.resume_workers()
    assert sogni("batch", "list.txt", *MODEL).exit_code == 0
    assert (len(requested(supernet)), len(pictures(tmp_path))) == (2, 2)


@pytest.mark.parametrize("key", ["a new key", None], ids=["with its key", "from an old journal"])
def test_a_project_that_never_arrived_is_started_again(
    sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path, key: str | None
) -> None:
    write("a fox")
    sogni("batch", "list.txt", *MODEL)
    journal = tmp_path / "list.journal.jsonl"
    line = json.loads(journal.read_text().splitlines()[0])
    line |= {"project": "00000000-0000-4000-8000-000000000000", "idempotency_key": key}
    journal.write_text(json.dumps(line) + "\n")
    assert sogni("batch", "list.txt", *MODEL).exit_code == 0
    assert len(requested(supernet)) == 2


def test_a_key_in_a_line_is_paid_once_whatever_the_journal(
    sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    write({"positive_prompt": "a fox", "idempotency_key": "the fox of the day"})
    for directory in ("one", "two"):
        assert sogni("batch", "list.txt", *MODEL, "-o", directory).exit_code == 0
        assert len(pictures(tmp_path / directory)) == 1
    assert len(requested(supernet)) == 1


def test_failures_are_reported_and_started_again_in_the_next_run(
    sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    write("a fox", "an owl")
    supernet.faults.fail_job(times=1)
    result = sogni("batch", "list.txt", *MODEL, "--concurrency", "1")
    assert (result.exit_code, len(pictures(tmp_path))) == (1, 1)
    assert result.stderr.startswith("sogni: line 1: ")
    again = sogni("batch", "list.txt", *MODEL)
    assert (again.exit_code, len(pictures(tmp_path)), len(requested(supernet))) == (0, 2, 3)


def test_a_project_that_failed_after_the_run_is_started_again(
    sogni: Sogni, start: Start, write: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    write("a fox")
    supernet.pause_workers()
    process = start("batch", "list.txt", *MODEL)
    supernet.wait_for(lambda: supernet.projects)
    process.kill()
    process.communicate(timeout=30)
    with SogniClient() as client:
        client.projects.cancel(supernet.projects[0]["id"])
    supernet.resume_workers()
    assert sogni("batch", "list.txt", *MODEL).exit_code == 0
    assert (len(requested(supernet)), len(pictures(tmp_path))) == (2, 1)


def test_a_line_that_the_model_rejects_does_not_stop_the_others(sogni: Sogni, write: Any, tmp_path: Path) -> None:
    write({"positive_prompt": "a fox", "model_id": "flux1-shnell-fp8"}, "an owl")
    result = sogni("batch", "list.txt", *MODEL)
    assert (result.exit_code, len(pictures(tmp_path))) == (1, 1)
    assert result.stderr.startswith("sogni: line 1: ")
    assert "flux1-schnell-fp8" in result.stderr


def test_all_mistakes_are_reported_before_anything_is_sent(
    sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    write("a fox", {"positive_promt": "an owl"}, {"steps": "many"})
    result = sogni("batch", "list.txt", *MODEL)
    assert (result.exit_code, result.stdout, supernet.requests) == (2, "", [])
    assert [line.split(":")[1:3] for line in result.stderr.splitlines()] == [[" list.txt", "2"], [" list.txt", "3"]]
    assert "positive_prompt" in result.stderr
    write("a fox", {"starting_image": "no.png"}, {"starting_image": "none.png"})
    result = sogni("batch", "list.txt", *MODEL)
    assert (result.exit_code, requested(supernet)) == (2, [])
    assert [line.split(":")[1:3] for line in result.stderr.splitlines()] == [[" list.txt", "2"], [" list.txt", "3"]]
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]


def test_the_cost_limit_is_for_the_whole_run(sogni: Sogni, write: Any, supernet: LocalSupernet) -> None:
    write("a fox", "an owl", "a hare")
    result = sogni("batch", "list.txt", *MODEL, "--max-cost", "0.000001")
    assert (result.exit_code, requested(supernet)) == (4, [])
    assert result.stderr.endswith("(3 of 3 requests were not started)\n")
    assert "exceeds --max-cost 0.000001" in result.stderr


def test_nothing_more_is_started_without_balance(sogni: Sogni, write: Any, supernet: LocalSupernet) -> None:
    supernet.account.set_balance(spark=0, sogni=0)
    write("a fox", "an owl", "a hare")
    result = sogni("batch", "list.txt", *MODEL, "--concurrency", "1")
    assert (result.exit_code, result.stdout, len(requested(supernet))) == (4, "", 1)
    assert "(2 of 3 requests were not started)" in result.stderr


def test_json_is_one_document(sogni: Sogni, write: Any, supernet: LocalSupernet) -> None:
    write("a fox")
    assert sogni("batch", "list.txt", *MODEL).exit_code == 0
    write("a fox", {"positive_prompt": "an owl", "model_id": "none-such"})
    document = json.loads(sogni("batch", "list.txt", *MODEL, "--json").stdout)
    done, refused = document["requests"]
    assert (done["line"], done["earlier"], done["error"], len(done["files"])) == (1, True, None, 1)
    assert (refused["line"], refused["earlier"], refused["project"], refused["files"]) == (2, False, None, [])
    assert "none-such" in refused["error"]


def test_lines_may_come_from_standard_input(sogni: Sogni, tmp_path: Path) -> None:
    result = sogni("batch", "-", *MODEL, "-o", "out", input="a fox\n")
    assert (result.exit_code, counts(result.stderr)) == (0, (1, 0, 0))
    assert (len(pictures(tmp_path / "out")), (tmp_path / "out" / "batch.journal.jsonl").exists()) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.txt",), "none.txt"),
        (("list.txt", "--name", "{index}"), "--name must contain {project_id} or {job_id}"),
        (("list.txt", "--concurrency", "0"), "--concurrency"),
        (("list.txt", "--max-cost", "much"), "--max-cost must be a number"),
        (("latin.txt",), "latin.txt is not UTF-8 text"),
    ],
)
def test_invalid_arguments_are_rejected(
    sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    write("a fox")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    result = sogni("batch", *arguments)
    assert (result.exit_code, requested(supernet)) == (2, [])
    assert said in result.stderr


FORMATS = {
    "list.csv": "prompt,width,height,steps\na fox,256,320,\nan owl,,,2\n",
    "tabs.txt": "positive_prompt\tsteps\na fox\t\nan owl\t2\n",
    "list.json": '["a fox", {"positive_prompt": "an owl", "steps": 2}]',
    "list.jsonl": '"a fox"\n'.replace('"', "") + '{"positive_prompt": "an owl", "steps": 2}\n',
    "list.yaml": "- a fox\n- positive_prompt: an owl\n  steps: 2\n",
    "document.yml": "defaults: {seed: 7}\nrequests:\n  - a fox\n  - positive_prompt: an owl\n    steps: 2\n",
}


def test_every_format_is_read(sogni: Sogni, supernet: LocalSupernet, tmp_path: Path) -> None:
    for name, text in FORMATS.items():
        (tmp_path / name).write_text(text)
        result = sogni("batch", name, *MODEL, "--set", "seed=5", "-o", name.replace(".", "-"))
        assert (name, result.exit_code, counts(result.stderr)) == (name, 0, (2, 0, 0))
        sent = {it["keyFrames"][0]["positivePrompt"]: it["keyFrames"][0] for it in requested(supernet)}
        expected = {"a fox": 1, "an owl": 2}
        assert {prompt: frame["steps"] for prompt, frame in sent.items()} == expected
        assert {frame["seed"] for frame in sent.values()} == {7 if name == "document.yml" else 5}
        supernet.reset()


def test_what_image_prints_as_json_can_be_fed_back(sogni: Sogni, supernet: LocalSupernet, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(sogni("image", "a fox", *MODEL, "--json").stdout)
    assert sogni("batch", "one.json").exit_code == 0
    first, second = (it["keyFrames"][0] for it in requested(supernet))
    assert first | {"seed": 0} == second | {"seed": 0}


@pytest.mark.parametrize("arguments", [("--json",), ("--report", "again.json")])
def test_what_batch_prints_as_json_can_be_fed_back(
    sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path, arguments: Sequence[str]
) -> None:
    write("a fox", {"positive_prompt": "an owl", "steps": 2})
    printed = sogni("batch", "list.txt", *MODEL, "--journal", "journal", *arguments).stdout
    if arguments == ("--json",):
        (tmp_path / "again.json").write_text(printed)
    result = sogni("batch", "again.json", "--journal", "journal")
    assert (result.exit_code, result.stderr, len(requested(supernet))) == (0, "", 2)


def test_bad_rows_keep_the_others_only_if_not_skipped(sogni: Sogni, supernet: LocalSupernet, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("prompt,steps\na fox,many\nan owl,1\na hare,1,1\n")
    result = sogni("batch", "list.csv", *MODEL)
    assert (result.exit_code, supernet.requests) == (2, [])
    assert result.stderr.splitlines() == [
        "sogni: list.csv:2: steps must be an integer, got 'many'",
        "sogni: list.csv:4: the row has 3 cells, but the header names 2",
    ]
    skipping = sogni("batch", "list.csv", *MODEL, "--skip-bad-rows")
    assert (skipping.exit_code, len(pictures(tmp_path)), "1 done, 2 failed" in skipping.stderr) == (1, 1, True)


def test_failures_that_may_pass_are_repeated(sogni: Sogni, write: Any, supernet: LocalSupernet) -> None:
    write("a fox")
    supernet.faults.fail_job(times=1)
    result = sogni("batch", "list.txt", *MODEL, "--retry-failed", "1")
    assert (result.exit_code, counts(result.stderr), len(requested(supernet))) == (0, (1, 0, 0), 2)


def test_a_dry_run_estimates_and_creates_nothing(
    sogni: Sogni, write: Any, supernet: LocalSupernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a fox", "an owl")
    result = sogni("batch", "list.txt", *MODEL, "--dry-run")
    assert (result.exit_code, requested(supernet)) == (0, [])
    assert re.fullmatch(r"would create 2 projects, 0 kept, estimated cost 0\.\d+ sogni\n", result.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]
    document = json.loads(sogni("batch", "list.txt", *MODEL, "--dry-run", "--json").stdout)
    assert (document["projects"], document["kept"], list(document["cost"])) == (2, 0, ["sogni"])
    monkeypatch.setenv("SOGNI_MAX_COST", "0.000001")
    assert sogni("batch", "list.txt", *MODEL, "--dry-run").exit_code == 4
    assert (sogni("batch", "list.txt", *MODEL).exit_code, requested(supernet)) == (4, [])


def test_reports_are_written(sogni: Sogni, write: Any, tmp_path: Path) -> None:
    write("a <fox>", {"positive_prompt": "an owl", "model_id": "none-such"})
    for name in ("r.html", "r.csv", "r.json"):
        assert sogni("batch", "list.txt", *MODEL, "--report", name).exit_code == 1
    page = (tmp_path / "r.html").read_text()
    assert ("data:image/webp;base64," in page, "a &lt;fox&gt;" in page, "none-such" in page) == (True, True, True)
    table = csv.DictReader((tmp_path / "r.csv").read_text().splitlines())
    assert [row["status"] for row in table] == ["kept", "failed"]
    document = json.loads((tmp_path / "r.json").read_text())
    assert (document["done"], document["failed"], document["kept"]) == (0, 1, 1)
    assert sogni("batch", "list.txt", *MODEL, "--report", "r.pdf").exit_code == 2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list.csv", "a fox\n", "list.csv:1: the first row of a CSV file must contain the names of fields"),
        ("list.txt", '["a fox", "an owl"\n', "list.txt:2: not valid JSON"),
        ("-", "- a fox\n- {an owl\n", "not valid YAML"),
    ],
)
def test_malformed_files_are_rejected_before_anything_is_paid_for(
    sogni: Sogni, supernet: LocalSupernet, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    result = sogni("batch", name, *MODEL, input=text)
    assert (result.exit_code, result.stdout, supernet.requests) == (2, "", [])
    assert said in result.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [("steps", "must be key=value"), ("stepps=4", "there is no field 'stepps'; did you mean 'steps'")],
)
def test_set_needs_a_field_and_a_value(sogni: Sogni, write: Any, given: str, said: str) -> None:
    write("a fox")
    result = sogni("batch", "list.txt", *MODEL, "--set", given)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_concurrent_runs_do_not_share_a_journal(
    sogni: Sogni, start: Start, write: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    write("a fox")
    supernet.pause_workers()
    process = start("batch", "list.txt", *MODEL)
    supernet.wait_for(lambda: supernet.projects)
    result = sogni("batch", "list.txt", *MODEL)
    assert (result.exit_code, len(requested(supernet))) == (5, 1)
    assert "in use by another batch" in result.stderr
    supernet.resume_workers()
    stdout, _ = process.communicate(timeout=30)
    assert (process.returncode, len(stdout.splitlines())) == (0, 1)
