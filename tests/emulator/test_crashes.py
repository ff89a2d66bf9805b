"""An emulator that ends after any write to its archive: the next one finishes the work, and everything is charged
once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni.emulator.persistence import Archive
from tests.emulator.chat import test_chat_runs as runs
from tests.emulator.wire import Wire
from tests.emulator.workflows.helpers import ROOT, ended, plan, start, step, still, takes

pytestmark = pytest.mark.integration


STEPS = (
    still(numberOfVariations=2),
    step("bright", "apply_style", takes("still", "sourceImageIndex", "image_index"), prompt="bright"),
)
DRAW = "Create an image of a red kite"


class Archived:
    """Counts the writes of archives; after the last one allowed, nothing reaches the disk, as after a kill."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written = 0
        self.last: int | None = None
        self.dead = False
        self._left: list[sqlite3.Connection] = []
        write, close = Archive._write, Archive.close

        def counted(archive: Archive, query: str, *values: Any) -> None:
            if self.last is not None and self.written == self.last and archive._connection is not None:
                archive._connection.rollback()
                self._left.append(archive._connection)
                archive._connection, self.dead = None, True
            self.written += 1
            write(archive, query, *values)

        def closed(archive: Archive) -> None:
            close(archive)
            while self._left:
                self._left.pop().close()

        monkeypatch.setattr(Archive, "_write", counted)
        monkeypatch.setattr(Archive, "close", closed)

    @contextmanager
    def dying(self, directory: Path, after: int) -> Iterator[Wire]:
        with LocalSupernet(step_time=0, data=directory, seed=1) as supernet, Wire(supernet) as wire:
            self.written, self.last, self.dead = 0, after, False
            yield wire
        self.last = None


@pytest.fixture
def archived(monkeypatch: pytest.MonkeyPatch) -> Archived:
    return Archived(monkeypatch)


def test_a_workflow_is_paid_once_whenever_the_emulator_ends(archived: Archived, tmp_path: Path) -> None:
    writes = 0
    while True:
        directory = tmp_path / str(writes)
        with archived.dying(directory, writes) as wire:
            before = wire.supernet.account.balance.spark
            record = start(wire, plan(*STEPS), Idempotency_Key="once")
            ended(wire, record["workflowId"])
            over = not archived.dead
        with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
            # A client whose connection ended repeats the request with its key.
            known = wire.ask("POST", ROOT, plan(*STEPS), Idempotency_Key="once").json()["data"]["workflow"]
            again = ended(wire, known["workflowId"])
            assert again["status"] == "completed", (writes, again)
            spent = float(before - supernet.account.balance.spark)
            assert spent == pytest.approx(record["billingPreview"]["estimatedCost"]), writes
            assert float(again["costActual"]) == pytest.approx(spent), writes
            assert len(again["artifacts"]) == 3
            for artifact in again["artifacts"]:
                assert wire.http.get(artifact["url"], timeout=30).status_code == 200
        if over:
            break
        writes += 1
    assert writes > 10


def test_a_chat_run_is_paid_once_whenever_the_emulator_ends(archived: Archived, tmp_path: Path) -> None:
    with LocalSupernet(step_time=0) as supernet, Wire(supernet) as wire:
        owned = supernet.account.balance.sogni
        runs.ended(wire, runs.start(wire, DRAW))
        usual = float(owned - supernet.account.balance.sogni)
    writes = 1
    while True:
        directory = tmp_path / str(writes)
        with archived.dying(directory, writes) as wire:
            name = runs.start(wire, DRAW)
            runs.ended(wire, name)
            over = not archived.dead
        with LocalSupernet(step_time=0, data=directory) as supernet, Wire(supernet) as wire:
            record = runs.ended(wire, name)
            assert (record["status"], len(record["artifacts"])) == ("completed", 1), (writes, record)
            # The URL in the conversation differs each time; its tokens count.
            assert float(owned - supernet.account.balance.sogni) == pytest.approx(usual, rel=0.02), writes
        if over:
            break
        writes += 1
    assert writes > 10
