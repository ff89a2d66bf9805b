"""Following of workflows: progress of their steps, and its display until the workflow ends.

On a terminal a tree of the steps is drawn on standard error; in a pipe every change is a line on standard output. The
workflow continues when the command ends. The service guarantees only the status of the workflow as a whole; steps are
read from records and events as far as possible, and unreadable parts are ignored.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import define, field

from sogni.cli.exit_codes import Interrupted, flush_stdout, shows_progress
from sogni.cli.output import one_line, write
from sogni.cli.progress import live_display
from sogni.cli.run_project import CREATE_SECONDS, POLL_SECONDS, in_background
from sogni.display import on_terminal
from sogni.errors import SogniError, SogniTimeoutError
from sogni.models.converter import to_dict
from sogni.models.workflows import WORKFLOW_ENDS, WorkflowRecord, WorkflowSseEvent
from sogni.settings import check_seconds

if TYPE_CHECKING:
    from rich.tree import Tree

    from sogni.api.streams import EventStream
    from sogni.client import SogniClient

Row = tuple[str, str, str]
"""A step (or the workflow), its status and details."""
WHOLE = "workflow"
_NOT_STARTED = frozenset({"pending", "queued"})
_FINISHED = frozenset({"completed", "failed", "skipped", "cancelled"})


@define
class StepProgress:
    """Progress of a step."""

    name: str
    tool: str = ""
    status: str = "pending"
    detail: str = ""
    ahead: bool = False
    """True while a record is ahead of the events, which start with the first one."""

    def is_current(self, status: str) -> bool:
        """Return whether the status of an event is at least as recent as the known one."""
        if self.ahead:
            self.ahead = status != self.status and not (status in _FINISHED and self.status not in _FINISHED)
        return not self.ahead


@define
class WorkflowProgress:
    """Progress of a workflow and its steps."""

    workflow_id: str
    title: str = ""
    status: str = "queued"
    detail: str = ""
    steps: dict[str, StepProgress] = field(factory=dict)
    _reported: dict[str, Row] = field(factory=dict)

    def take_record(self, record: WorkflowRecord) -> None:
        """Apply a record."""
        self.title = record.title or self.title
        self.status = record.status or self.status
        self.detail = record.waiting_reason or (record.error.message if record.error else None) or ""
        wire = to_dict(record)
        for step in (
            *_objects((wire.get("input") or wire.get("plan") or {}).get("steps")),
            *_objects(wire.get("steps")),
        ):
            self._take_step(step, recorded=True)

    def take_frame(self, frame: WorkflowSseEvent) -> bool:
        """Apply an event. Returns False if the record must be fetched for details."""
        if not isinstance(frame.data, Mapping):
            return True
        step = frame.data.get("step")
        if isinstance(step, Mapping):
            self._take_step(step, recorded=False)
            return True
        return _text(frame.data, "status") == self.status

    def changes(self) -> Iterator[Row]:
        """Yield the rows that have changed since the last call: the workflow, then its steps.

        The end of a workflow that was seen running comes after its steps.
        """
        whole, *steps = self.rows()
        ends = self._reported and self.status in WORKFLOW_ENDS
        for row in [*steps, whole] if ends else [whole, *steps]:
            if self._reported.get(row[0]) != row:
                self._reported[row[0]] = row
                yield row

    def rows(self) -> Sequence[Row]:
        """Return all rows. Also called by the thread that draws."""
        steps = [(step.name, step.status, step.detail or step.tool) for step in list(self.steps.values())]
        return [(WHOLE, self.status, self.detail or self.workflow_id), *steps]

    def _take_step(self, given: Mapping[str, Any], *, recorded: bool) -> None:
        place = given.get("index")
        known = list(self.steps)
        by_place = known[place] if isinstance(place, int) and 0 <= place < len(known) else None
        name = _text(given, "id", "stepId", "step_id") or by_place or f"step-{len(known) + 1}"
        step = self.steps.setdefault(name, StepProgress(name))
        step.tool = _text(given, "toolName", "tool_name") or step.tool
        status = _text(given, "status") or step.status
        if recorded and status != step.status:
            step.ahead = status not in _NOT_STARTED
        if not recorded and not step.is_current(status):
            return
        step.status = status
        error = given.get("error")
        step.detail = _text(error, "message") if isinstance(error, Mapping) else ""


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [it for it in value if isinstance(it, Mapping)] if isinstance(value, list) else []


def _text(given: Mapping[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := given.get(name), str)), "")


_COLORS = {"completed": "green", "running": "cyan", "failed": "red", "cancelled": "yellow", "skipped": "yellow"}


def watch(client: SogniClient, workflow_id: str, timeout: float | None, *, quiet: bool) -> WorkflowRecord:
    """Follow a workflow until it ends or waits for user input, and return its record.

    Args:
        client: Client to use.
        workflow_id: ID of the workflow.
        timeout: Time limit in seconds. Default: no limit.
        quiet: Print no changes to standard output.

    Raises:
        SogniTimeoutError: The time limit was exceeded. The workflow continues.
        Interrupted: Ctrl-C was pressed. The workflow continues.
    """
    limit = check_seconds("timeout", timeout)
    progress = WorkflowProgress(workflow_id)
    with (
        _progress_printer(progress, quiet=quiet) as print_changes,
        client.workflows.stream_events(workflow_id) as frames,
        _closing_after(frames.close, limit) as late,
    ):
        following = in_background(lambda: _follow_events(client, progress, frames, print_changes))
        try:
            while not wait([following], POLL_SECONDS).done:
                pass
        except KeyboardInterrupt:
            frames.close()
            wait([following], CREATE_SECONDS)
            raise Interrupted(f"interrupted; workflow {workflow_id} continues") from None
        record = following.result()
    if late.is_set() and not _pauses(record):
        message = f"workflow {workflow_id} did not end within {limit:g} seconds and continues"
        raise SogniTimeoutError(message, phase="total", timeout=limit)
    return record


def start_workflow(work: Callable[[], WorkflowRecord]) -> WorkflowRecord:
    """Send a request that starts a workflow. Ctrl-C does not interrupt it, so that the ID is not lost."""
    starting = in_background(work)
    try:
        while not wait([starting], POLL_SECONDS).done:
            pass
        return starting.result()
    except KeyboardInterrupt:
        done, _ = wait([starting], CREATE_SECONDS)
        if not done or starting.exception() is not None:
            raise Interrupted("interrupted") from None
        raise Interrupted(f"interrupted; workflow {starting.result().workflow_id} continues") from None


def raise_if_failed(record: WorkflowRecord) -> None:
    """Raise SogniError unless a workflow is completed."""
    if record.status == "completed":
        return
    why = (record.error.message if record.error else None) or record.waiting_reason
    reason = f": {why}" if why else ""
    if record.status in WORKFLOW_ENDS:
        raise SogniError(f"workflow {record.workflow_id} ended with status {record.status}{reason}")
    if record.status != "waiting_for_user":
        raise SogniError(f"workflow {record.workflow_id} is {record.status}, but its events have ended")
    resume = f"; see 'sogni workflow resume {record.workflow_id}'"
    raise SogniError(f"workflow {record.workflow_id} is waiting for user input{reason}{resume}")


def _follow_events(
    client: SogniClient,
    progress: WorkflowProgress,
    frames: EventStream[WorkflowSseEvent],
    print_changes: Callable[[], None],
) -> WorkflowRecord:
    """Return the record of a workflow once it ends, waits for user input, or its events are closed."""
    while True:
        record = client.workflows.get(progress.workflow_id)
        progress.take_record(record)
        print_changes()
        if _pauses(record) or frames.closed:
            return record
        for frame in frames:
            if not progress.take_frame(frame):
                break
            print_changes()


def _pauses(record: WorkflowRecord) -> bool:
    return record.ended or record.status == "waiting_for_user"


@contextmanager
def _closing_after(close: Callable[[], None], seconds: float | None) -> Iterator[threading.Event]:
    """Call `close` after some seconds and set the event that is yielded."""
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
def _progress_printer(progress: WorkflowProgress, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Draw progress during a `with` block, and yield a function that prints changes."""
    drawing = shows_progress()
    printing = not quiet and not (drawing and on_terminal(sys.stdout))

    def print_changes() -> None:
        if printing:
            _print_changes(progress)

    with live_display(lambda _: tree(progress)):
        yield print_changes


def _print_changes(progress: WorkflowProgress) -> None:
    for row in progress.changes():
        write("\t".join(map(one_line, row)))
    # The reader of the pipe must see every change at once.
    flush_stdout()


def tree(progress: WorkflowProgress) -> Tree:
    """Return the current state of the workflow and its steps as a tree."""
    from rich.text import Text
    from rich.tree import Tree

    def line(name: str, status: str, detail: str) -> Any:
        shown = Text(overflow="ellipsis", no_wrap=True)
        shown.append(f"{one_line(name)} ")
        shown.append(one_line(status), style=_COLORS.get(status, "dim"))
        shown.append(f" {one_line(detail)}" if detail else "")
        return shown

    (_, status, detail), *steps = progress.rows()
    workflow = Tree(line(progress.title or progress.workflow_id, status, detail))
    for row in steps:
        workflow.add(line(*row))
    return workflow
