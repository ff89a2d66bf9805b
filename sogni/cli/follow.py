"""What becomes of a workflow's steps: decides what the command line knows of them, from records and frames.

Called by `watching`. The service promises the status of a workflow only; what is said of a step is read from wherever
it stands, and what cannot be read is left out.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attrs import define, field

from sogni.cli.exit_codes import Interrupted, flush_stdout
from sogni.cli.output import on_terminal, one_line, write
from sogni.cli.progress import drawn
from sogni.cli.run_project import CREATED_WITHIN, TURN, in_background
from sogni.errors import SogniError, SogniTimeoutError
from sogni.models.converter import to_dict
from sogni.models.workflows import WORKFLOW_ENDS, WorkflowRecord, WorkflowSseEvent
from sogni.settings import check_seconds

if TYPE_CHECKING:
    from rich.tree import Tree

    from sogni.api.streams import EventStream
    from sogni.client import SogniClient

Row = tuple[str, str, str]
"""A step (or the workflow), its status, and what else is known."""
WHOLE = "workflow"
_NOT_BEGUN = frozenset({"pending", "queued"})
_OVER = frozenset({"completed", "failed", "skipped", "cancelled"})


@define
class StepProgress:
    """A step as far as it is known."""

    name: str
    tool: str = ""
    status: str = "pending"
    detail: str = ""
    ahead: bool = False
    """Whether a record told more than the frames have so far: they begin with the first, and are behind it."""

    def is_news(self, status: str) -> bool:
        """Whether a frame says something that is not older than what is known."""
        if self.ahead:
            self.ahead = status != self.status and not (status in _OVER and self.status not in _OVER)
        return not self.ahead


@define
class WorkflowProgress:
    """A workflow as far as it is known."""

    workflow_id: str
    title: str = ""
    status: str = "queued"
    detail: str = ""
    steps: dict[str, StepProgress] = field(factory=dict)
    _told: dict[str, Row] = field(factory=dict)

    def take_record(self, record: WorkflowRecord) -> None:
        """Know what a record says."""
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
        """Know what a frame says; False when it says something that only the record tells."""
        if not isinstance(frame.data, Mapping):
            return True
        step = frame.data.get("step")
        if isinstance(step, Mapping):
            self._take_step(step, recorded=False)
            return True
        return _text(frame.data, "status") == self.status

    def changes(self) -> Iterator[Row]:
        """What was not told before: the workflow, then its steps."""
        for row in self.rows():
            if self._told.get(row[0]) != row:
                self._told[row[0]] = row
                yield row

    def rows(self) -> Sequence[Row]:
        """Everything that is known; also asked for by the thread that draws."""
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
            step.ahead = status not in _NOT_BEGUN
        if not recorded and not step.is_news(status):
            return
        step.status = status
        error = given.get("error")
        step.detail = _text(error, "message") if isinstance(error, Mapping) else ""


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [it for it in value if isinstance(it, Mapping)] if isinstance(value, list) else []


def _text(given: Mapping[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := given.get(name), str)), "")


# Following a workflow: decides what is shown while it runs, and how a command ends with it.
#
# Called by the commands that watch. On a terminal a tree of the steps is drawn on standard error; in a pipe every
# change
# is a line on standard output. A workflow goes on whatever becomes of the command.


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
