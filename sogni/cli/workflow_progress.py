"""What becomes of a workflow's steps: decides what the command line knows of them, from records and frames.

Called by `watching`. The service promises the status of a workflow only; what is said of a step is read from wherever
it stands, and what cannot be read is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

from ..models.converter import to_dict
from ..models.workflows import WorkflowRecord, WorkflowSseEvent

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
