"""The plan of a durable workflow: its steps, their arguments, and what they take from one another (workflows §2.1).

Plain data in the caller's words. The arguments of a step belong to its tool and travel exactly as given.
Checking, files and drawing are elsewhere, and imported when a plan is asked for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from .base import Model

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
        from ..protocol.plan_check import plan_findings

        return plan_findings(self, media_references=media_references)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WorkflowInput:
        """Read a plan from a file in YAML or JSON, which its suffix tells.

        Keys as in these classes or as on the wire. Raises `ValidationError` with file, line and step of everything
        that is wrong, `OSError`, and `ImportError` for YAML without the extra `sogni[yaml]`.
        """
        from ..machine.plan_files import load_plan

        return load_plan(path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the plan to a file in YAML or JSON, which its suffix tells, with the keys of the wire.

        An existing file is replaced. Raises `ValidationError` for another suffix or for arguments that JSON cannot
        carry, `OSError`, and `ImportError` for YAML without the extra `sogni[yaml]`.
        """
        from ..machine.plan_files import save_plan

        return save_plan(self, path)

    def to_mermaid(self) -> str:
        """The steps and what they need of one another, as a Mermaid flowchart.

        >>> from sogni import WorkflowInput, WorkflowStep
        >>> print(WorkflowInput(steps=[WorkflowStep(id="still", tool_name="generate_image")]).to_mermaid())
        flowchart TD
            s0["still<br/>generate_image"]
        """
        from ..protocol.plan_diagram import mermaid

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
