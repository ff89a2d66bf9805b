"""The crontab and the systemd units on the page about batches do what it says."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sogni.emulator import LocalSupernet

pytestmark = pytest.mark.integration


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "run-a-nightly-batch-with-cron.md").read_text(
    encoding="utf-8"
)
ROWS = "prompt,width,height,steps,model\na fox,256,256,1,flux1-schnell-fp8\nan owl,256,256,1,flux1-schnell-fp8\n"


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, supernet: LocalSupernet) -> Path:
    """A home directory as the page assumes it."""
    if not (Path(sys.prefix) / "bin" / "sogni").exists():
        pytest.skip("the command sogni is not installed in this environment")
    (tmp_path / "venv").symlink_to(sys.prefix)
    (tmp_path / "batches").mkdir()
    (tmp_path / "batches" / "animals.csv").write_text(ROWS)
    (tmp_path / ".sogni-key").write_text(supernet.api_key)
    return tmp_path


def environment(home: Path, supernet: LocalSupernet) -> dict[str, str]:
    """Little more than cron and systemd set: no terminal, no path to the package."""
    endpoints = {"SOGNI_REST_ENDPOINT": supernet.rest_endpoint, "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint}
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": os.environ.get("LC_ALL", "C.UTF-8"), **endpoints}


def test_the_crontab_mails_a_summary_and_then_nothing(home: Path, supernet: LocalSupernet) -> None:
    (table,) = [it for it in fences("text") if it.startswith("# Every night")]
    (line,) = [it for it in table.splitlines() if not it.startswith("#")]
    *times, command = line.split(maxsplit=5)
    assert (times, "%" in command) == (["15", "3", "*", "*", "*"], False)  # cron splits a command at %
    mails = []
    for _ in range(2):
        done = subprocess.run(
            ["/bin/sh", "-c", command], env=environment(home, supernet), capture_output=True, text=True, timeout=60
        )
        mails.append((done.returncode, done.stdout, re.sub(r", cost.*", "", done.stderr)))
    assert mails == [(0, "", "sogni: 2 done, 0 failed, 0 kept\n"), (0, "", "")]
    assert len(list((home / "batches" / "out").glob("*.png"))) == 2
    assert (home / "batches" / "out" / "report.html").exists()


def test_the_systemd_units_run_the_batch(home: Path, supernet: LocalSupernet) -> None:
    service, timer = (unit(text) for text in fences("ini"))
    assert timer["Timer"]["OnCalendar"] == "*-*-* 03:15:00"
    assert set(service["Service"]["SuccessExitStatus"].split()) == {"4", "5"}
    command = [part.replace("%h", str(home)) for part in shlex.split(service["Service"]["ExecStart"])]
    directory = service["Service"]["WorkingDirectory"].replace("%h", str(home))
    done = subprocess.run(
        command, cwd=directory, env=environment(home, supernet), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


def unit(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser
