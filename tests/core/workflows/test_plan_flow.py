"""Warnings about dependencies whose source does not match the target (tools §2.1)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.workflows.plans import dependency_findings, plan_findings
from sogni.models.workflows import PlanFinding
from tests.tables import each_row

PROMPT = {"prompt": "x"}


def found(source: str, tool: str, target: str, transform: Any, arguments: Any = PROMPT, **need: Any) -> list[str]:
    """What is said of a dependency of one step on another."""
    given = {"sourceStepId": "a", "targetArgument": target, "transform": transform, **need}
    plan = {
        "steps": [
            {"id": "a", "toolName": source, "arguments": arguments},
            {"id": "b", "toolName": tool, "arguments": PROMPT, "dependsOn": [given]},
        ]
    }
    findings = list(dependency_findings(plan))
    assert {(it.step, it.severity) for it in findings} <= {("b", "warning")}
    return [it.message.removeprefix("step 'b': depends_on[0].") for it in findings]


@each_row(
    ("source", "tool", "target", "transform"),
    [
        ("generate_image", "animate_photo", "sourceImageIndex", "image_index"),
        ("generate_image", "generate_video", "referenceImageIndices", "image_index"),
        ("generate_video", "stitch_video", "videoIndices", "video_index"),
        ("generate_music", "sound_to_video", "reference_audio_url", "audio_url"),
        ("analyze_video", "add_subtitles", "srt", "subtitle_srt"),
        ("analyze_image", "generate_image", "prompt", "artifact_url"),
        ("a_tool_of_tomorrow", "another", "anything", "image_url"),
        ("generate_image", "animate_photo", "sourceImageIndex", None),
    ],
)
def test_what_fits(source: str, tool: str, target: str, transform: str) -> None:
    assert found(source, tool, target, transform) == []


def test_a_source_that_makes_something_else() -> None:
    assert found("generate_music", "animate_photo", "sourceImageIndex", "image_index") == [
        "source_step_id creates audio, but an image is expected"
    ]
    assert found("generate_image", "stitch_video", "videoIndices", "asset_ref", mediaType="video") == [
        "source_step_id creates an image, but a video is expected"
    ]


def test_a_video_may_give_its_last_frame() -> None:
    last = {"prompt": "x", "returnLastFrame": True}
    assert found("generate_video", "edit_image", "sourceImageIndex", "image_index", last) == []
    assert len(found("generate_video", "edit_image", "sourceImageIndex", "image_index", "no arguments")) == 1


def test_a_transform_that_takes_another_kind_than_is_said() -> None:
    assert found("a_tool", "animate_photo", "sourceImageIndex", "image_index", mediaType="video") == [
        "media_type is 'video', but transform expects an image"
    ]


@pytest.mark.parametrize(
    ("tool", "target", "transform", "words"),
    [
        ("animate_photo", "sourceImageIndex", "image_url", "yields a URL, which is not valid for sourceImageIndex"),
        ("animate_photo", "prompt", "image_index", "yields a number, which is not valid for prompt"),
        ("stitch_video", "videoIndices", "artifact_data_uri", "yields a data URI, which is not valid for videoIndices"),
    ],
)
def test_a_form_the_argument_does_not_take(tool: str, target: str, transform: str, words: str) -> None:
    assert found("a_tool", tool, target, transform) == [f"transform {words} of {tool}"]


@pytest.mark.parametrize("steps", [5, [5], [{"dependsOn": [5]}], [{"dependsOn": [{"sourceStepId": []}]}]])
def test_what_cannot_be_read_is_left_to_the_structure(steps: Any) -> None:
    assert list(dependency_findings({"steps": steps})) == []
    assert list(dependency_findings(steps)) == []


def test_they_are_among_all_there_is_to_say_and_never_refused() -> None:
    need = {"source_step_id": "a", "target_argument": "sourceImageIndex", "transform": "image_index"}
    steps = [
        {"id": "a", "tool_name": "generate_music", "arguments": PROMPT},
        {"id": "b", "tool_name": "edit_image", "arguments": PROMPT, "depends_on": [need]},
    ]
    (finding,) = plan_findings({"steps": steps})
    assert isinstance(finding, PlanFinding)
    assert (finding.rule, finding.severity) == ("media", "warning")
    assert plan_findings({"steps": steps}, whole=False) == []
