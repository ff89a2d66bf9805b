"""Durable workflows: plans and their diagrams, records, events, artifacts, and templates.

`sogni.plans` adds the functions that check plans and read and write plan files.
"""

# The wire format: workflows §2 to §7.

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from attrs import field, frozen

from sogni.models.base import EPOCH, LooseModel, MediaKind, Model, redacted_repr, wire
from sogni.models.converter import wire_form
from sogni.models.diagrams import drawing, mermaid

"""The `source_step_id` that stands for the media references of the request."""

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
"""The tools of a step; the service may know others."""  # workflows §2.2

StepTransform = (
    Literal[
        "artifact_url", "artifact_data_uri", "image_url", "video_url", "audio_url", "image_index", "video_index",
        "audio_index", "subtitle_cues", "subtitle_srt", "overlay_items", "asset_ref",
    ]
    | str
)  # fmt: skip
"""Conversions of an artifact into the value of an argument."""

StepMedia = Literal["image", "video", "audio"] | str


@frozen(kw_only=True)
class WorkflowDependency(Model):
    """An argument of a step that is filled with an artifact of an earlier step.

    Attributes:
        source_step_id: ID of the earlier step, or ``"$input_media"`` for the media references of the request.
        target_argument: Name of the argument to fill.
        transform: How the artifact becomes the value of the argument, for example ``"image_index"`` or
            ``"video_url"``.
        source_artifact_id: ID of the artifact to use.
        source_artifact_index: Index of the artifact to use, from 0.
        media_type: Kind of artifacts to use: ``"image"``, ``"video"`` or ``"audio"``.
        required: Whether the step is skipped if there is no such artifact.
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
    """One step of a plan: a call of a tool.

    Attributes:
        tool_name: Name of the tool.
        arguments: Arguments under the names of the tool's definition (``sourceImageIndex``), sent unchanged.
        id: ID that later steps refer to; not needed otherwise.
        depends_on: Arguments that are filled with artifacts of earlier steps.
    """

    tool_name: StepTool
    arguments: Mapping[str, Any] = field(factory=dict)
    id: str | None = None
    depends_on: list[WorkflowDependency] | None = None


@frozen
class PlanFunctions:
    """Functions that `WorkflowInput` needs from outside of the models; set by `sogni.plans`."""

    check: Callable[[WorkflowInput, Sequence[Any] | None], list[PlanFinding]]
    load: Callable[[str | os.PathLike[str]], WorkflowInput]
    save: Callable[[WorkflowInput, str | os.PathLike[str]], Path]


@frozen(kw_only=True)
class WorkflowInput(Model):
    """The plan of a workflow. Dicts with the same fields, in snake_case or camelCase, are accepted wherever plans are.

    Attributes:
        steps: The steps, in an order in which they can run.
        title: Title of the workflow.

    Example:
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

    _functions: ClassVar[PlanFunctions | None] = None

    steps: list[WorkflowStep]
    title: str | None = None

    @classmethod
    def _provided(cls) -> PlanFunctions:
        if cls._functions is None:
            raise RuntimeError("import WorkflowInput from sogni or sogni_async, not from sogni.models")
        return cls._functions

    def check(self, *, media_references: Sequence[Any] | None = None) -> list[PlanFinding]:
        """Check the plan, including what only newer versions of the service may accept.

        `workflows.start` always rejects plans that no service can run. This method also reports unknown tools and
        arguments that do not fit the definitions of their tools; `workflows.start(..., strict=True)` rejects the
        errors among them. Nothing is raised or sent.

        Args:
            media_references: The media references that will be passed to `workflows.start`. By default, their presence
                is not checked.

        Returns:
            The findings, in the order of the steps; an empty list if there are none.

        Example:
            >>> from sogni import WorkflowInput, WorkflowStep
            >>> plan = WorkflowInput(steps=[WorkflowStep(id="still", tool_name="generate_imge")])
            >>> [finding.message for finding in plan.check()]
            ["step 'still': tool_name must be a known tool, got 'generate_imge'; did you mean 'generate_image'?"]
        """
        return self._provided().check(self, media_references)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WorkflowInput:
        """Load a plan from a YAML or JSON file, with keys in snake_case or camelCase.

        Args:
            path: The file. Its suffix is ``.yaml``, ``.yml`` or ``.json``.

        Returns:
            The plan.

        Raises:
            ValidationError: The plan is invalid; the message has file, line and step of each error.
            OSError: The file cannot be read.
            ImportError: The file is YAML, and the extra ``sogni[yaml]`` is not installed.

        Example:
            >>> from sogni import WorkflowInput, WorkflowStep
            >>> plan = WorkflowInput(title="Kites", steps=[WorkflowStep(id="still", tool_name="generate_image")])
            >>> WorkflowInput.load(plan.save("kites.json")).title
            'Kites'
        """
        return cls._provided().load(path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the plan to a YAML or JSON file, with keys in camelCase. An existing file is replaced.

        Args:
            path: The file. Its suffix is ``.yaml``, ``.yml`` or ``.json``.

        Returns:
            The path of the file.

        Raises:
            ValidationError: The suffix is unknown, or an argument cannot be written as JSON.
            OSError: The file cannot be written.
            ImportError: The file is YAML, and the extra ``sogni[yaml]`` is not installed.

        Example:
            >>> from sogni import WorkflowInput, WorkflowStep
            >>> plan = WorkflowInput(title="Kites", steps=[WorkflowStep(id="still", tool_name="generate_image")])
            >>> plan.save("kites.json").name
            'kites.json'
        """
        return self._provided().save(self, path)

    def to_mermaid(self) -> str:
        """Draw the steps and their dependencies as a Mermaid flowchart; the plan may be invalid.

        Returns:
            The text of the flowchart.

        Example:
            >>> from sogni import WorkflowInput, WorkflowStep
            >>> print(WorkflowInput(steps=[WorkflowStep(id="still", tool_name="generate_image")]).to_mermaid())
            flowchart TD
                s0["still<br/>generate_image"]
        """
        return mermaid(wire_form(WorkflowInput, self))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return the flowchart for notebooks: drawn, so that it needs no script from the network, and as text."""
        svg = drawing(wire_form(WorkflowInput, self))
        return {"text/plain": repr(self), "image/svg+xml": svg, "text/vnd.mermaid": self.to_mermaid()}

    _repr_html_ = None  # type: ignore[assignment]  # instead of the table of other records


PlanRule = Literal[
    "required", "type", "choice", "range", "json", "spelling",
    "unique", "reserved", "unknown-step", "order", "cycle", "media",
    "tool", "argument",
]  # fmt: skip
"""The rules of a plan: for single values, for the relations of steps, and for tools and their arguments. The last are
checked by `check()` and `strict=True` only, because the service may know more tools than this version."""


@frozen(kw_only=True)
class PlanFinding:
    """An error in a plan, or a warning.

    Attributes:
        message: Description, with step and field.
        rule: The rule that is broken, for example ``"required"`` or ``"cycle"``.
        field: Path of the field within the step (``depends_on[0].transform``).
        step: ID of the step; None if it has none, or if the finding is about the whole plan.
        index: Index of the step, from 0; None if the finding is about the whole plan.
        severity: ``"error"`` or ``"warning"``.
    """

    message: str
    rule: PlanRule
    field: str
    step: str | None = None
    index: int | None = None
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return self.message


WorkflowStatus = Literal["queued", "running", "completed", "partial_failure", "waiting_for_user", "failed", "cancelled"]
WORKFLOW_ENDS = frozenset({"completed", "partial_failure", "failed", "cancelled"})
"""Final statuses."""  # workflows §3


@frozen(kw_only=True)
class WorkflowArtifact(LooseModel):
    """A file that a workflow has created.

    Attributes:
        id: ID of the artifact.
        url: URL of the file. It is signed and expires; `workflows.get` returns a new one.
        type: Type of the artifact.
        media_type: ``"image"``, ``"video"``, ``"audio"`` or ``"model"``.
        mime_type: MIME type of the file.
        width: Width in pixels.
        height: Height in pixels.
        duration: Duration in seconds.
    """

    id: str | None = None
    url: str | None = field(default=None, repr=redacted_repr)
    type: str | None = None
    media_type: MediaKind | None = None
    mime_type: str | None = None
    width: int | None = None
    height: int | None = None
    duration: float | None = None


@frozen(kw_only=True)
class WorkflowEvent(LooseModel):
    """An event of a workflow.

    Attributes:
        id: ID of the event.
        event: Name of the event.
        type: Type of the event.
        status: Status of the workflow, if it changed.
        message: Description.
        timestamp: Time of the event.
        data: Data of the event.
    """

    id: int | str | None = None
    event: str | None = None
    type: str | None = None
    status: str | None = None
    message: str | None = None
    timestamp: datetime | None = field(default=None, metadata=EPOCH)
    data: Any = field(default=None, repr=redacted_repr)


@frozen(kw_only=True)
class WorkflowSseEvent(Model):
    """A frame of the event stream of a workflow.

    Attributes:
        event: Name of the event.
        data: JSON value of the data, a string if it is not JSON, None without data.
        raw: The whole frame as received.
        id: ID of the frame; `last_event_id` of `workflows.stream_events` accepts it.
    """

    event: str = "message"
    data: Any = field(default=None, repr=redacted_repr)
    raw: str = field(default="", repr=False)
    id: str | None = None

    @property
    def status(self) -> str | None:
        """The status of the workflow; None if the frame does not contain it."""
        status = self.data.get("status") if isinstance(self.data, Mapping) else None
        return status if isinstance(status, str) else None


@frozen(kw_only=True)
class WorkflowError(LooseModel):
    """Why a workflow or a step failed.

    Attributes:
        message: Description of the error.
        code: Error code of the service.
    """

    message: str | None = None
    code: int | str | None = None


@frozen(kw_only=True)
class WorkflowStepRecord(LooseModel):
    """The state of a step of a workflow.

    Attributes:
        id: ID of the step.
        index: Index of the step, from 0.
        tool_name: Name of the tool.
        status: Status of the step.
        arguments: Arguments of the tool.
        depends_on: Arguments that are filled with artifacts of earlier steps.
        seed: Seed of the step.
        artifacts: Files that the step has created.
        error: Why the step failed.
    """

    id: str | None = None
    index: int | None = None
    tool_name: str | None = None
    status: str | None = None
    arguments: Mapping[str, Any] | None = field(default=None, repr=redacted_repr)
    depends_on: list[WorkflowDependency] | None = None
    seed: int | None = None
    artifacts: list[WorkflowArtifact] = field(factory=list)
    error: WorkflowError | None = None


@frozen(kw_only=True)
class WorkflowRecord(LooseModel):
    """The state of a workflow. Only `workflow_id` is always present.

    Attributes:
        workflow_id: ID of the workflow.
        title: Title of the workflow.
        status: ``"queued"``, ``"running"``, ``"waiting_for_user"``, ``"completed"``, ``"partial_failure"``,
            ``"failed"`` or ``"cancelled"``.
        input: The plan.
        plan: Plan of the service, as sent.
        steps: States of the steps.
        events: Events so far.
        artifacts: Files that the workflow has created.
        billing_preview: Billing data, as sent.
        billing_previews: Billing data, as sent.
        create_time: Time of creation, sent as a number.
        update_time: Time of the last change, sent as a number.
        created_at: Time of creation, sent as a string.
        updated_at: Time of the last change, sent as a string.
        error: Why the workflow failed.
        safe_content_filter: Whether sensitive content is filtered.
        waiting_reason: What a workflow that is ``"waiting_for_user"`` waits for, for example
            ``"cost_approval_required"`` or ``"insufficient_credit"``.
        awaiting_cost_approval: Whether approving the cost lets the workflow continue.
    """

    workflow_id: str
    title: str | None = None
    status: WorkflowStatus | str | None = None
    input: WorkflowInput | None = None
    plan: Mapping[str, Any] | None = field(default=None, repr=redacted_repr)
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
        """Whether the workflow has ended, successfully or not."""
        return self.status in WORKFLOW_ENDS


@frozen(kw_only=True)
class WorkflowResumption(Model):
    """The response of `workflows.resume`.

    Attributes:
        workflow: The workflow.
        resumed: Whether this call resumed it.
    """

    workflow: WorkflowRecord
    resumed: bool = False


@frozen(kw_only=True)
class WorkflowReseed(Model):
    """The response of `workflows.reseed`.

    Attributes:
        workflow: The new workflow.
        cloned_from_run_id: ID of the original workflow.
        steps: Steps of the new workflow, as sent.
        idempotent: Whether an earlier call with the same key had already started it.
    """

    workflow: WorkflowRecord
    cloned_from_run_id: str = ""
    steps: list[Any] = field(factory=list)
    idempotent: bool = False


@frozen(kw_only=True)
class MediaReference(Model):
    """A media file for a workflow or a chat run. `workflows.upload` creates one from a file.

    Attributes:
        url: http or https URL that the service can download.
        media_type: ``"image"``, ``"video"`` or ``"audio"``.
        mime_type: MIME type of the file.
    """

    url: str = field(repr=redacted_repr)
    media_type: MediaKind | None = None
    mime_type: str | None = None


# Templates: workflows §7.


Visibility = Literal["private", "public", "team"]
Listing = Literal["own", "public", "all", "private", "team"]


@frozen(kw_only=True)
class TemplateAuthor(LooseModel):
    """The author of a template.

    Attributes:
        user_id: ID of the user.
        display_name: Name of the user.
    """

    user_id: str | None = None
    display_name: str | None = None


@frozen(kw_only=True)
class TemplateOption(LooseModel):
    """A choice of a template input of the type ``"select"``.

    Attributes:
        value: Value of the choice.
        label: Text to display.
    """

    value: Any = None
    label: str | None = None


@frozen(kw_only=True)
class TemplateMultiple(LooseModel):
    """How many values a template input accepts.

    Attributes:
        min: Minimum number of values, 0 or more.
        max: Maximum number of values, 1 or more.
    """

    min: int | None = None
    max: int | None = None


@frozen(kw_only=True)
class TemplateInput(LooseModel):
    """An input that a template declares. Its stages refer to it as ``$inputs.<name>``.

    Attributes:
        name: Name of the input, 1 to 64 characters.
        type: ``"image"``, ``"audio"``, ``"video"``, ``"text"``, ``"number"``, ``"select"`` or ``"boolean"``.
        required: Whether a value must be given; by default not.
        description: Description for users.
        default: Value used if none is given.
        options: Choices of a ``"select"`` input.
        multiple: How many values the input accepts, if several.
        internal: Whether the service sets the value when a workflow starts. Such inputs are hidden from users.
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
    """A range of amounts.

    Attributes:
        min: Smallest amount.
        max: Largest amount.
    """

    min: float | None = None
    max: float | None = None


@frozen(kw_only=True)
class WorkflowTemplate(LooseModel):
    """A saved workflow that is started with inputs. Further fields are in `extra`.

    Attributes:
        id: ID of the template; `workflows.start` accepts it as `workflow_id`.
        name: Name of the template, 1 to 200 characters.
        version: Version of the template.
        description: Description for users.
        category: Category, for example ``"portrait"``, ``"music"`` or ``"custom"``.
        stability: ``"experimental"``, ``"beta"`` or ``"production"``.
        author: The author; ``"system"`` for templates of the service.
        visibility: ``"private"``, ``"public"`` or ``"team"``.
        inputs: Inputs that the template declares, at most 16.
        stages: Stages of the workflow, as sent.
        expose_to_llm: Whether language models may use the template.
        llm_priority: Priority for language models.
        estimated_credits: Estimated cost in credits.
        estimated_capacity_units: Estimated cost in capacity units.
        tags: Tags.
        created_at: Time of creation.
        updated_at: Time of the last change.
    """

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
    """A page of templates.

    Attributes:
        templates: The templates.
        next_cursor: The `offset` of the next page; None after the last one.
    """

    templates: list[WorkflowTemplate] = field(factory=list)
    next_cursor: int | None = None
