"""Make the picture of `how-to/write-a-workflow-plan.md`: a plan as notebooks display it."""

from __future__ import annotations

from pathlib import Path

from sogni import WorkflowDependency, WorkflowInput, WorkflowStep

DOCS = Path(__file__).parent


def depends_on(step: str, argument: str, transform: str) -> WorkflowDependency:
    return WorkflowDependency(source_step_id=step, target_argument=argument, transform=transform)


PLAN = WorkflowInput(
    title="Kite teaser",
    steps=[
        WorkflowStep(id="still", tool_name="generate_image", arguments={"prompt": "a red kite over dunes"}),
        WorkflowStep(id="song", tool_name="generate_music", arguments={"prompt": "sea shanty, accordion"}),
        WorkflowStep(
            id="clip",
            tool_name="sound_to_video",
            arguments={"prompt": "the kite dips in the wind"},
            depends_on=[
                depends_on("still", "sourceImageIndex", "image_index"),
                depends_on("song", "audioSourceIndex", "audio_index"),
            ],
        ),
    ],
)


def main() -> None:
    """Write the picture."""
    drawing = PLAN._repr_mimebundle_()["image/svg+xml"]
    (DOCS / "images/workflow-plan.svg").write_text(drawing, encoding="utf-8")


main()
