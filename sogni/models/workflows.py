"""The plan of a durable workflow: its steps, their arguments, and what they take from one another (workflows §2.1).

Plain data in the caller's words. The arguments of a step belong to its tool and travel exactly as given.
Checking, files and drawing are elsewhere, and imported when a plan is asked for them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from attrs import field, frozen

from sogni.models.base import EPOCH, LooseModel, MediaKind, Model, shown, wire
from sogni.models.converter import wire_form

INPUT_MEDIA = "$input_media"
"""In place of a step's id: the media references of the request."""

StepTool = (
    Literal[
        "generate_image", "generate_video", "generate_music", "edit_image", "apply_style", "restore_photo",
        "refine_result", "animate_photo", "change_angle", "video_to_video", "stitch_video", "orbit_video",
        "dance_montage", "sound_to_video", "extend_video", "replace_video_segment", "overlay_video", "add_subtitles",
        "analyze_image", "analyze_video", "extract_metadata", "ask_clarifying_question", "finalize_response",
        "create_asset_manifest", "inspect_asset", "label_asset", "map_assets_for_model", "validate_asset_references",
        "image_to_3d", "remove_background", "segment_image", "generate_speech", "upscale_image", "upscale_video",
    ]
    | str
)  # fmt: skip
"""What a step may call (workflows §2.2); the service may know more."""

StepTransform = (
    Literal[
        "artifact_url", "artifact_data_uri", "image_url", "video_url", "audio_url", "image_index", "video_index",
        "audio_index", "subtitle_cues", "subtitle_srt", "overlay_items", "asset_ref",
    ]
    | str
)  # fmt: skip
"""What becomes of an artifact on its way into an argument (workflows §2.1)."""

StepMedia = Literal["image", "video", "audio"] | str


@frozen(kw_only=True)
class WorkflowDependency(Model):
    """What an argument of a step takes from an earlier step (workflows §2.1).

    `source_step_id` is the id of an earlier step, or `$input_media` for the request's media references; of its
    artifacts `source_artifact_index` (from 0) or `source_artifact_id` picks one, `media_type` those of a kind.
    `transform` says in which form `target_argument` gets it. A step whose `required` dependency yields nothing
    does not run.
    """

    source_step_id: str
    target_argument: str
    transform: StepTransform
    source_artifact_id: str | None = None
    source_artifact_index: int | None = None
    media_type: StepMedia | None = None
    required: bool | None = None


@frozen(kw_only=True)
class WorkflowStep(Model):
    """One call of a tool (workflows §2.1).

    `arguments` have the names of the tool's schema (`sourceImageIndex`) and travel exactly as given. `id` is what
    later steps refer to; a step nothing depends on needs none.
    """

    tool_name: StepTool
    arguments: Mapping[str, Any] = field(factory=dict)
    id: str | None = None
    depends_on: list[WorkflowDependency] | None = None


class PlanFunctions(Protocol):
    """What the methods of `WorkflowInput` need from outside the models; `sogni.plans` provides it."""

    def findings(self, plan: WorkflowInput, media_references: Sequence[Any] | None) -> list[PlanFinding]:
        """Check a plan."""

    def load(self, path: str | os.PathLike[str]) -> WorkflowInput:
        """Read a plan from a file."""

    def save(self, plan: WorkflowInput, path: str | os.PathLike[str]) -> Path:
        """Write a plan to a file."""


_provided: list[PlanFunctions] = []


def provide_plan_functions(functions: PlanFunctions) -> None:
    """Set what `check`, `load` and `save` call."""
    _provided[:] = [functions]


def _plan_functions() -> PlanFunctions:
    if not _provided:
        raise RuntimeError("import WorkflowInput from sogni or sogni_async, not from sogni.models")
    return _provided[0]


@frozen(kw_only=True)
class WorkflowInput(Model):
    """The plan of a workflow: a title, and steps in an order in which they can run (workflows §2.1).

    Wherever a plan is taken, so is the same as dicts, with the names of these classes or those of the wire.

    >>> from sogni import WorkflowDependency, WorkflowInput, WorkflowStep
    >>> plan = WorkflowInput(
    ...     title="Kite teaser",
    ...     steps=[
    ...         WorkflowStep(id="still", tool_name="generate_image", arguments={"prompt": "a red kite over dunes"}),
    ...         WorkflowStep(
    ...             id="clip",
    ...             tool_name="animate_photo",
    ...             arguments={"prompt": "the kite dips in the wind", "duration": 6},
    ...             depends_on=[
    ...                 WorkflowDependency(
    ...                     source_step_id="still", target_argument="sourceImageIndex", transform="image_index"
    ...                 )
    ...             ],
    ...         ),
    ...     ],
    ... )
    >>> [step.tool_name for step in plan.steps]
    ['generate_image', 'animate_photo']
    """

    steps: list[WorkflowStep]
    title: str | None = None

    def check(self, *, media_references: Sequence[Any] | None = None) -> list[PlanFinding]:
        """Everything there is to say about the plan, step by step; nothing is raised, nothing sent.

        Goes beyond what `workflows.start` refuses: tools that this version does not know (workflows §2.2), and
        arguments that do not fit the definitions of the tools. `media_references` as they will be given to
        `start`; None says nothing about them. `workflows.start(..., strict=True)` refuses whatever is an error here.

        >>> from sogni import WorkflowInput, WorkflowStep
        >>> plan = WorkflowInput(steps=[WorkflowStep(id="still", tool_name="generate_imge")])
        >>> [finding.message for finding in plan.check()]
        ["step 'still': tool_name is no known tool: 'generate_imge'; did you mean 'generate_image'?"]
        """
        return _plan_functions().findings(self, media_references)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WorkflowInput:
        """Read a plan from a file in YAML or JSON, which its suffix tells.

        Keys as in these classes or as on the wire. Raises `ValidationError` with file, line and step of everything
        that is wrong, `OSError`, and `ImportError` for YAML without the extra `sogni[yaml]`.
        """
        return _plan_functions().load(path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the plan to a file in YAML or JSON, which its suffix tells, with the keys of the wire.

        An existing file is replaced. Raises `ValidationError` for another suffix or for arguments that JSON cannot
        carry, `OSError`, and `ImportError` for YAML without the extra `sogni[yaml]`.
        """
        return _plan_functions().save(self, path)

    def to_mermaid(self) -> str:
        """The steps and what they need of one another, as a Mermaid flowchart.

        >>> from sogni import WorkflowInput, WorkflowStep
        >>> print(WorkflowInput(steps=[WorkflowStep(id="still", tool_name="generate_image")]).to_mermaid())
        flowchart TD
            s0["still<br/>generate_image"]
        """
        return mermaid(self)

    def _repr_markdown_(self) -> str:
        """What Jupyter shows."""
        return f"```mermaid\n{self.to_mermaid()}\n```\n"


PlanRule = Literal[
    "required", "type", "choice", "range", "json", "spelling",
    "unique", "reserved", "unknown-step", "order", "cycle", "media",
    "tool", "argument",
]  # fmt: skip
"""The rule a finding is about. In the first line single values; in the second what steps say of one another; the
third is found by `check()` and `strict=True` only, because the service may know more tools than we do."""


@frozen(kw_only=True)
class PlanFinding:
    """Something about a plan that is wrong, or with `severity="warning"` suspicious.

    `step` is the id of the step and `index` its place from 0; both are None for the plan as a whole, and `step` for
    a step without an id. `field` is the way to it within the step (`depends_on[0].transform`).
    """

    message: str
    rule: PlanRule
    field: str
    step: str | None = None
    index: int | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return self.message


# Durable workflows: their records, their events, and the frames of their event stream (workflows §3, §5, §6).


WorkflowStatus = Literal["queued", "running", "completed", "partial_failure", "waiting_for_user", "failed", "cancelled"]
WORKFLOW_ENDS = frozenset({"completed", "partial_failure", "failed", "cancelled"})
"""Statuses after which nothing comes, `partial_failure` by its meaning (workflows §3)."""


@frozen(kw_only=True)
class WorkflowArtifact(LooseModel):
    """A file a workflow made; `duration` is in seconds, sizes in pixels."""

    id: str | None = None
    url: str | None = field(default=None, repr=shown)
    type: str | None = None
    media_type: MediaKind | None = None
    mime_type: str | None = None
    width: int | None = None
    height: int | None = None
    duration: float | None = None


@frozen(kw_only=True)
class WorkflowEvent(LooseModel):
    """Something that happened in a workflow."""

    id: int | str | None = None
    event: str | None = None
    type: str | None = None
    status: str | None = None
    message: str | None = None
    timestamp: datetime | None = field(default=None, metadata=EPOCH)
    data: Any = field(default=None, repr=shown)


@frozen(kw_only=True)
class WorkflowSseEvent(Model):
    """A frame of an event stream: `data` is its JSON value, else its text, None without any; `raw` is all of it."""

    event: str = "message"
    data: Any = field(default=None, repr=shown)
    raw: str = field(default="", repr=False)
    id: str | None = None

    @property
    def status(self) -> str | None:
        """The status of the workflow, when the frame tells it."""
        status = self.data.get("status") if isinstance(self.data, Mapping) else None
        return status if isinstance(status, str) else None


@frozen(kw_only=True)
class WorkflowError(LooseModel):
    """What went wrong in a workflow."""

    message: str | None = None
    code: int | str | None = None


@frozen(kw_only=True)
class WorkflowStepRecord(LooseModel):
    """Where a step of a workflow stands, and what it made."""

    id: str | None = None
    index: int | None = None
    tool_name: str | None = None
    status: str | None = None
    arguments: Mapping[str, Any] | None = field(default=None, repr=shown)
    depends_on: list[WorkflowDependency] | None = None
    seed: int | None = None
    artifacts: list[WorkflowArtifact] = field(factory=list)
    error: WorkflowError | None = None


@frozen(kw_only=True)
class WorkflowRecord(LooseModel):
    """A workflow as the service keeps it; `workflow_id` alone is always there.

    `waiting_reason` tells what a `waiting_for_user` waits for; `awaiting_cost_approval` is True only when
    approving the cost is what lets it go on.
    """

    workflow_id: str
    title: str | None = None
    status: WorkflowStatus | str | None = None
    input: WorkflowInput | None = None
    plan: Mapping[str, Any] | None = field(default=None, repr=shown)
    steps: list[WorkflowStepRecord] = field(factory=list)
    events: list[WorkflowEvent] = field(factory=list)
    artifacts: list[WorkflowArtifact] = field(factory=list)
    billing_preview: Any = None
    billing_previews: Any = None
    create_time: datetime | None = field(default=None, metadata=EPOCH)
    update_time: datetime | None = field(default=None, metadata=EPOCH)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    error: WorkflowError | None = None
    safe_content_filter: bool | None = None
    waiting_reason: str | None = None
    awaiting_cost_approval: bool | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.status in WORKFLOW_ENDS


@frozen(kw_only=True)
class WorkflowResumption(Model):
    """What resuming gave: the workflow, and whether it goes on because of this call."""

    workflow: WorkflowRecord
    resumed: bool = False


@frozen(kw_only=True)
class WorkflowReseed(Model):
    """Another take: `workflow` is the new run. `idempotent` says that it had been started by an earlier call."""

    workflow: WorkflowRecord
    cloned_from_run_id: str = ""
    steps: list[Any] = field(factory=list)
    idempotent: bool = False


@frozen(kw_only=True)
class MediaReference(Model):
    """Media for a workflow or a run, by an address the service can reach (workflows §4)."""

    url: str = field(repr=shown)
    media_type: MediaKind | None = None
    mime_type: str | None = None


# Saved workflows that are started with inputs (workflows §7).


Visibility = Literal["private", "public", "team"]
Listing = Literal["own", "public", "all", "private", "team"]


@frozen(kw_only=True)
class TemplateAuthor(LooseModel):
    """Who made a template."""

    user_id: str | None = None
    display_name: str | None = None


@frozen(kw_only=True)
class TemplateOption(LooseModel):
    """One choice of a `select` input."""

    value: Any = None
    label: str | None = None


@frozen(kw_only=True)
class TemplateMultiple(LooseModel):
    """How many values an input takes."""

    min: int | None = None
    max: int | None = None


@frozen(kw_only=True)
class TemplateInput(LooseModel):
    """An input a template declares; stages refer to it as `$inputs.<name>`.

    `type` is `image`, `audio`, `video`, `text`, `number`, `select` or `boolean`. An `internal` one is chosen by
    the service when a run begins.
    """

    name: str
    type: str | None = None
    required: bool | None = None
    description: str | None = None
    default: Any = None
    options: list[TemplateOption] | None = None
    multiple: TemplateMultiple | None = None
    internal: bool | None = None


@frozen(kw_only=True)
class AmountRange(LooseModel):
    """From, to."""

    min: float | None = None
    max: float | None = None


@frozen(kw_only=True)
class WorkflowTemplate(LooseModel):
    """A saved workflow. `author` is `system` for those of the service. What else it holds is in `extra`."""

    id: str | None = None
    name: str
    version: str | None = None
    description: str | None = None
    category: str | None = None
    stability: Literal["experimental", "beta", "production"] | str | None = None
    author: TemplateAuthor | str | None = None
    visibility: Visibility | str | None = None
    inputs: list[TemplateInput] | None = None
    stages: list[Mapping[str, Any]] | None = None
    expose_to_llm: bool | None = field(default=None, metadata=wire("exposeToLLM"))
    llm_priority: float | None = None
    estimated_credits: AmountRange | None = None
    estimated_capacity_units: AmountRange | None = None
    tags: list[str] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@frozen(kw_only=True)
class TemplatePage(Model):
    """A page of templates; `next_cursor` is the `offset` of the page after it, None after the last."""

    templates: list[WorkflowTemplate] = field(factory=list)
    next_cursor: int | None = None


# A plan as a Mermaid flowchart: decides how steps and dependencies are drawn, and that no text breaks the drawing.
#
# Called by `WorkflowInput.to_mermaid`. It draws any plan, also one that may not be started; a step that is not there
# is
# drawn as missing.


_LONGEST = 60
_TOLD_BY_CODE = re.compile(r"[^\w \-/,$:()+]")
"""Everything else means something to Mermaid, Markdown or HTML somewhere."""


def mermaid(plan: WorkflowInput) -> str:
    """The text of the flowchart."""
    wire = wire_form(WorkflowInput, plan)
    title = _text(wire, "title")
    head = ["---", f"title: {json.dumps(_shortened(title))}", "---"] if title else []
    return "\n".join([*head, "flowchart TD", *(f"    {line}" for line in _lines(_objects(wire.get("steps"))))])


def _lines(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    nodes: dict[str, str] = {}
    for index, step in enumerate(steps):
        nodes.setdefault(_text(step, "id"), f"s{index}")
        yield f'{f"s{index}"}["{_label(step)}"]'
    nodes.pop("", None)
    needs = [(index, need) for index, step in enumerate(steps) for need in _objects(step.get("dependsOn"))]
    sources = [_text(need, "sourceStepId") for _, need in needs]
    for number, source in enumerate(dict.fromkeys(it for it in sources if it not in nodes)):
        media = source == INPUT_MEDIA
        nodes[source] = "media" if media else f"missing{number}"
        yield """media[/"media of the request"/]""" if media else f'{nodes[source]}>"{_escaped(source)}: missing"]'
    for (index, need), source in zip(needs, sources, strict=True):
        arrow = "-.->" if need.get("required") is False else "-->"
        text = f"{_text(need, 'transform')} to {_text(need, 'targetArgument')}"
        yield f'{nodes[source]} {arrow}|"{_escaped(text)}"| s{index}'


def _objects(value: Any) -> list[Mapping[str, Any]]:
    """What can be drawn of a list."""
    return [it for it in value if isinstance(it, Mapping)] if isinstance(value, list) else []


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return "" if value is None else str(value)


def _label(step: Mapping[str, Any]) -> str:
    name, tool = _escaped(_text(step, "id")), _escaped(_text(step, "toolName"))
    return f"{name}<br/>{tool}" if name else tool


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def _escaped(text: str) -> str:
    """A text for a quoted label, on one line, with the characters that mean something as their codes."""
    return _TOLD_BY_CODE.sub(lambda found: f"#{ord(found[0])};", _shortened(text))
