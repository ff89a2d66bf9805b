"""The plan of a workflow, typed or as dicts of either spelling, is one and the same on the wire (workflows §2.1)."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sogni import WorkflowDependency, WorkflowInput, WorkflowStep
from sogni.models.converter import from_dict, to_dict, wire_form

ARGUMENTS = {"prompt": "a kite", "num_frames": 3, "negativePrompt": None, "loras": ["a", {"depends_on": 1}]}
PLAN = WorkflowInput(
    title="Kite teaser",
    steps=[
        WorkflowStep(id="still", tool_name="generate_image", arguments=ARGUMENTS),
        WorkflowStep(
            id="clip",
            tool_name="a_tool_of_tomorrow",
            depends_on=[
                WorkflowDependency(
                    source_step_id="still",
                    target_argument="sourceImageIndex",
                    transform="image_index",
                    source_artifact_index=0,
                    media_type="image",
                    required=False,
                    extra={"weight": None},
                )
            ],
            extra={"retry_count": 2},
        ),
    ],
    extra={"labels": {"tool_name": "kept"}},
)
WIRE = {
    "title": "Kite teaser",
    "labels": {"tool_name": "kept"},
    "steps": [
        {"id": "still", "toolName": "generate_image", "arguments": ARGUMENTS},
        {
            "id": "clip",
            "toolName": "a_tool_of_tomorrow",
            "arguments": {},
            "retry_count": 2,
            "dependsOn": [
                {
                    "sourceStepId": "still",
                    "targetArgument": "sourceImageIndex",
                    "transform": "image_index",
                    "sourceArtifactIndex": 0,
                    "mediaType": "image",
                    "required": False,
                    "weight": None,
                }
            ],
        },
    ],
}
SNAKE: dict[str, Any] = {
    "title": "Kite teaser",
    "labels": {"tool_name": "kept"},
    "steps": (
        {"id": "still", "tool_name": "generate_image", "arguments": ARGUMENTS, "depends_on": None},
        {
            "id": "clip",
            "tool_name": "a_tool_of_tomorrow",
            "arguments": {},
            "retry_count": 2,
            "depends_on": [
                {
                    "source_step_id": "still",
                    "target_argument": "sourceImageIndex",
                    "transform": "image_index",
                    "source_artifact_index": 0,
                    "source_artifact_id": None,
                    "media_type": "image",
                    "required": False,
                    "weight": None,
                }
            ],
        },
    ),
}


@pytest.mark.parametrize(
    "given", [PLAN, WIRE, SNAKE, {**WIRE, "steps": PLAN.steps}], ids=["typed", "wire", "ours", "mixed"]
)
def test_every_spelling_is_the_same_on_the_wire(given: Any) -> None:
    assert wire_form(WorkflowInput, given) == WIRE


def test_the_wire_form_and_the_typed_plan_are_the_same() -> None:
    assert to_dict(PLAN) == WIRE
    assert from_dict(WorkflowInput, WIRE) == PLAN


def test_arguments_travel_as_the_very_object() -> None:
    assert wire_form(WorkflowStep, PLAN.steps[0])["arguments"] is ARGUMENTS


def test_what_is_given_is_not_changed() -> None:
    given = {"steps": [{"tool_name": "x"}]}
    wire_form(WorkflowInput, given)
    assert given == {"steps": [{"tool_name": "x"}]}


@pytest.mark.parametrize("given", [5, "text", None, [1], PLAN.steps[0]])
def test_what_is_no_plan_stays_for_the_check(given: Any) -> None:
    assert wire_form(WorkflowInput, given) is given


def test_a_key_in_both_spellings_stays_for_the_check() -> None:
    both = {"tool_name": "a", "toolName": "b"}
    assert wire_form(WorkflowStep, both) == both
    assert wire_form(WorkflowStep, dict(reversed(both.items()))) == both


def test_a_plan_saves_and_loads_itself(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    assert PLAN.save(path) == path
    assert WorkflowInput.load(path) == PLAN


def test_a_plan_that_was_pickled_elsewhere_checks_itself() -> None:
    code = "import pickle, sys; print(len(pickle.loads(sys.stdin.buffer.read()).check()))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(PLAN), capture_output=True, timeout=60, check=True
    )
    assert done.stdout.strip() == b"%d" % len(PLAN.check())


def test_a_plan_of_the_models_alone_says_where_to_import_it_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkflowInput, "_functions", None)
    with pytest.raises(RuntimeError, match="from sogni or sogni_async"):
        PLAN.check()
