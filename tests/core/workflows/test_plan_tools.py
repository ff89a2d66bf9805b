"""Whether the steps of a plan fit their tools, and what `strict` adds (workflows §2.2; tools §3)."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from sogni import WorkflowInput, WorkflowStep
from sogni.core.tools.hosted import parameters_of, tool_names
from sogni.core.workflows.plans import checked_plan, plan_findings
from sogni.errors import ValidationError
from sogni.models.workflows import StepTool
from tests.tables import each_row

TOOLS = get_args(get_args(StepTool)[0])
HELPERS = {it for it in TOOLS if it not in tool_names()}
TEXT_TOOLS = set(tool_names()) - set(TOOLS)


def found(tool: str, arguments: Any, *targets: str) -> list[tuple[str, str]]:
    """Field and severity of what there is to say about the second step; `targets` are filled from the first."""
    needs = [{"sourceStepId": "a", "targetArgument": it, "transform": "asset_ref"} for it in targets]
    first = {"id": "a", "toolName": "edit_image", "arguments": {"prompt": "x"}}
    plan = {"steps": [first, {"id": "b", "toolName": tool, "arguments": arguments, "dependsOn": needs}]}
    findings = plan_findings(plan)
    assert {it.rule for it in findings} <= {"tool", "argument"}
    assert {it.step for it in findings} <= {"b"}
    return [(it.field, it.severity) for it in findings]


def test_the_tools_of_the_sheet() -> None:
    assert len(set(TOOLS)) == 34
    assert len(TEXT_TOOLS) == 6


@each_row("tool", sorted(HELPERS))
def test_a_helper_without_a_definition_takes_anything(tool: str) -> None:
    assert found(tool, {"whatever": 1}, "more") == []


@pytest.mark.parametrize("tool", ["generate_hologram", *sorted(TEXT_TOOLS)])
def test_what_is_no_step(tool: str) -> None:
    assert found(tool, {"prompt": 5}) == [("tool_name", "error")]


@each_row(
    ("tool", "arguments", "expected"),
    [
        ("generate_image", {"prompt": "x", "model": "a_model_of_tomorrow"}, []),
        ("generate_image", {"prompt": "x", "number_of_variations": 2}, [("arguments.number_of_variations", "warning")]),
        ("generate_image", {}, [("arguments.prompt", "error")]),
        ("generate_image", {"prompt": ""}, [("arguments.prompt", "error")]),
        ("generate_image", {"prompt": 5}, [("arguments.prompt", "error")]),
        ("generate_image", {"prompt": "x", "promt": "y"}, [("arguments.promt", "warning")]),
        ("generate_image", {"prompt": "x", "numberOfVariations": 17}, [("arguments.numberOfVariations", "error")]),
        ("generate_video", {"prompt": "x", "reference_image_url": "https://h/a.png"}, []),
        (
            "overlay_video",
            {"overlays": [{"kind": "text", "position": "center"}]},
            [("arguments.overlays[0].text", "error")],
        ),
        (
            "animate_photo",
            {"duration": 99, "frameRole": "side"},
            [("arguments.prompt", "error"), ("arguments.frameRole", "error"), ("arguments.duration", "error")],
        ),
    ],
)
def test_arguments(tool: str, arguments: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert found(tool, arguments) == expected


def test_arguments_that_are_none_are_left_to_the_structure() -> None:
    (finding,) = plan_findings({"steps": [{"toolName": "generate_image", "arguments": "x"}]})
    assert (finding.field, finding.rule) == ("arguments", "type")


@pytest.mark.parametrize("steps", ["x", ["x"], [{"toolName": 5, "arguments": {}}]])
def test_what_cannot_be_read_is_left_to_the_structure(steps: Any) -> None:
    assert [it.rule for it in plan_findings({"steps": steps})] == ["type"]


@each_row("tool", [it for it in TOOLS if it in tool_names()])
def test_what_a_dependency_fills_is_neither_missing_nor_judged(tool: str) -> None:
    schema = parameters_of(tool)
    filled = [it for it in schema["properties"] if it != "auto_transcribe"]
    assert found(tool, {}, *filled) == []
    for name in schema.get("required", ()):
        others = [it for it in schema["required"] if it != name]
        assert found(tool, {}, *others) == [(f"arguments.{name}", "error")]


def test_a_given_argument_is_judged_also_when_it_is_filled() -> None:
    assert found("edit_image", {"prompt": "x", "sourceImageIndex": "first"}, "sourceImageIndex") == [
        ("arguments.sourceImageIndex", "error")
    ]


def test_other_arguments_are_judged_beside_a_filled_one() -> None:
    assert found("stitch_video", {"transition": 5}, "videoIndices") == [("arguments.transition", "error")]


def test_a_target_the_tool_does_not_know_is_suspicious() -> None:
    assert found("animate_photo", {"prompt": "x"}, "sourceImageIndx") == [("depends_on[0].target_argument", "warning")]


def test_findings_go_step_by_step() -> None:
    steps = [{"id": "a", "toolName": "nothing", "arguments": {}}, {"id": "a", "toolName": "nothing", "arguments": {}}]
    assert [(it.index, it.rule) for it in plan_findings({"steps": steps})] == [(0, "tool"), (1, "unique"), (1, "tool")]


def test_a_plan_says_itself_what_there_is_to_say() -> None:
    plan = WorkflowInput(steps=[WorkflowStep(id="a", tool_name="generate_image", arguments={"prompt": 5})])
    (finding,) = plan.check()
    assert str(finding) == "step 'a': arguments.prompt must be a string, got 5"
    assert finding.severity == "error"


def test_strict_refuses_errors_and_lets_warnings_pass() -> None:
    plan = {"steps": [{"toolName": "generate_image", "arguments": {"prompt": "x", "promt": "y"}}]}
    assert checked_plan(plan, strict=True) == plan
    with pytest.raises(ValidationError) as caught:
        checked_plan({"steps": [{"toolName": "generate_image", "arguments": {"prompt": 5, "width": "x"}}]}, strict=True)
    assert [it.field for it in caught.value.findings] == ["arguments.prompt", "arguments.width"]
