"""Following a workflow: decides what is shown while it runs, and how a command ends with it.

Called by the commands that watch. On a terminal a tree of the steps is drawn on standard error; in a pipe every change
is a line on standard output. A workflow goes on whatever becomes of the command.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import SogniError, SogniTimeoutError
from ..models.workflows import WORKFLOW_ENDS, WorkflowRecord
from ..settings import check_seconds
from .collecting import CREATED_WITHIN, TURN, in_background
from .ending import Interrupted, flush_stdout
from .output import on_terminal, one_line, write
from .progress import drawn
from .workflow_progress import WorkflowProgress

if TYPE_CHECKING:
    from rich.tree import Tree

    from ..api.event_streams import EventStream
    from ..client import SogniClient
    from ..models.workflows import WorkflowSseEvent

_COLOURS = {"completed": "green", "running": "cyan", "failed": "red", "cancelled": "yellow", "skipped": "yellow"}


def watch(client: SogniClient, workflow_id: str, timeout: float | None, *, quiet: bool) -> WorkflowRecord:
    """Follow a workflow until it ends or waits for its user, and return its record.

    `quiet` shows nothing in a pipe. Raises `SogniTimeoutError` and `Interrupted`; the workflow goes on.
    """
    limit = check_seconds("timeout", timeout)
    progress = WorkflowProgress(workflow_id)
    with (
        _showing(progress, quiet=quiet) as tell,
        client.workflows.stream_events(workflow_id) as frames,
        _closing(frames.close, limit) as late,
    ):
        following = in_background(lambda: _followed(client, progress, frames, tell))
        try:
            while not wait([following], TURN).done:
                pass
        except KeyboardInterrupt:
            frames.close()
            wait([following], CREATED_WITHIN)
            raise Interrupted(f"interrupted; workflow {workflow_id} goes on") from None
        record = following.result()
    if late.is_set() and not _pauses(record):
        words = f"workflow {workflow_id} has not ended within {limit:g} seconds and goes on"
        raise SogniTimeoutError(words, phase="total", timeout=limit)
    return record


def begun(work: Callable[[], WorkflowRecord]) -> WorkflowRecord:
    """Start a workflow where Ctrl-C does not break the request off in the middle, and tell what became of it."""
    starting = in_background(work)
    try:
        while not wait([starting], TURN).done:
            pass
        return starting.result()
    except KeyboardInterrupt:
        done, _ = wait([starting], CREATED_WITHIN)
        if not done or starting.exception() is not None:
            raise Interrupted("interrupted") from None
        raise Interrupted(f"interrupted; workflow {starting.result().workflow_id} goes on") from None


def refuse_failure(record: WorkflowRecord) -> None:
    """SogniError unless a workflow is completed."""
    if record.status == "completed":
        return
    why = (record.error.message if record.error else None) or record.waiting_reason
    reason = f": {why}" if why else ""
    if record.status in WORKFLOW_ENDS:
        raise SogniError(f"workflow {record.workflow_id} ended with status {record.status}{reason}")
    if record.status != "waiting_for_user":
        raise SogniError(f"workflow {record.workflow_id} is {record.status}, and nothing more is told of it")
    resume = f"; see 'sogni workflow resume {record.workflow_id}'"
    raise SogniError(f"workflow {record.workflow_id} waits for its user{reason}{resume}")


def _followed(
    client: SogniClient, progress: WorkflowProgress, frames: EventStream[WorkflowSseEvent], tell: Callable[[], None]
) -> WorkflowRecord:
    """The record of a workflow once it pauses, or once its frames were closed."""
    while True:
        record = client.workflows.get(progress.workflow_id)
        progress.take_record(record)
        tell()
        if _pauses(record) or frames.closed:
            return record
        for frame in frames:
            if not progress.take_frame(frame):
                break
            tell()


def _pauses(record: WorkflowRecord) -> bool:
    return record.ended or record.status == "waiting_for_user"


@contextmanager
def _closing(close: Callable[[], None], seconds: float | None) -> Iterator[threading.Event]:
    """Close something after some seconds; the event tells that it was."""
    late = threading.Event()
    if seconds is None:
        yield late
        return

    def end() -> None:
        late.set()
        close()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def _showing(progress: WorkflowProgress, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """How changes are told while the work lasts; what was drawn vanishes at the end."""
    drawing = on_terminal(sys.stderr)
    telling = not quiet and not (drawing and on_terminal(sys.stdout))

    def tell() -> None:
        if telling:
            _lines(progress)

    with drawn(lambda _: tree(progress)):
        yield tell


def _lines(progress: WorkflowProgress) -> None:
    for row in progress.changes():
        write("\t".join(map(one_line, row)))
    # Whoever reads the pipe wants to know now.
    flush_stdout()


def tree(progress: WorkflowProgress) -> Tree:
    """The workflow and its steps as they are now."""
    from rich.text import Text
    from rich.tree import Tree

    def line(name: str, status: str, detail: str) -> Any:
        shown = Text(overflow="ellipsis", no_wrap=True)
        shown.append(f"{one_line(name)} ")
        shown.append(one_line(status), style=_COLOURS.get(status, "dim"))
        shown.append(f" {one_line(detail)}" if detail else "")
        return shown

    (_, status, detail), *steps = progress.rows()
    drawn = Tree(line(progress.title or progress.workflow_id, status, detail))
    for row in steps:
        drawn.add(line(*row))
    return drawn
