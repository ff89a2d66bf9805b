"""Whether a plan may be started: every mistake is found, all of them at once (workflows §2.1)."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sogni.core.workflows.plans import checked_plan, plan_findings
from sogni.errors import ValidationError
from sogni.models.workflows import PlanFinding, WorkflowDependency, WorkflowInput, WorkflowStep
from tests.tables import each_row

TOOL = {"toolName": "edit_image", "arguments": {"prompt": "x"}}


def step(name: str | None, *sources: str, **changes: Any) -> dict[str, Any]:
    """A step that takes an image from each of `sources`."""
    needs = [{"sourceStepId": it, "targetArgument": "sourceImageIndex", "transform": "image_index"} for it in sources]
    return {**({} if name is None else {"id": name}), **TOOL, **({"dependsOn": needs} if needs else {}), **changes}


def found(*steps: Any, **options: Any) -> list[tuple[str | None, str, str]]:
    """Step, field and rule of what is wrong with the structure."""
    findings = plan_findings({"title": "T", "steps": list(steps)}, whole=False, **options)
    for it in findings:
        assert it.severity == "error"
        assert it.field in it.message
    return [(it.step, it.field, it.rule) for it in findings]


def dependency(**changes: Any) -> list[tuple[str | None, str, str]]:
    needs = {"sourceStepId": "a", "targetArgument": "x", "transform": "artifact_url", **changes}
    given = {key: value for key, value in needs.items() if value != "gone"}
    return found(step("a"), step("b", dependsOn=[given]))


def test_a_plan_that_holds_together_has_no_findings() -> None:
    assert found(step("a"), step("b", "a"), step(None, "a", "b"), step("d", "$input_media")) == []


@pytest.mark.parametrize("plan", [None, 5, "steps", [step("a")], WorkflowStep(tool_name="x")])
def test_what_is_no_plan(plan: Any) -> None:
    (finding,) = plan_findings(plan)
    assert (finding.step, finding.index, finding.field, finding.rule) == (None, None, "input", "type")


@pytest.mark.parametrize(
    ("plan", "field", "rule"),
    [
        ({"title": "T"}, "steps", "required"),
        ({"steps": None}, "steps", "required"),
        ({"steps": {"a": 1}}, "steps", "type"),
        ({"steps": "ab"}, "steps", "type"),
        ({"steps": [], "title": 5}, "title", "type"),
    ],
)
def test_the_plan_itself(plan: Any, field: str, rule: str) -> None:
    assert [(it.step, it.index, it.field, it.rule) for it in plan_findings(plan)] == [(None, None, field, rule)]


@each_row(
    ("changes", "field", "rule"),
    [
        ({"toolName": None}, "tool_name", "required"),
        ({"toolName": " "}, "tool_name", "required"),
        ({"toolName": 5}, "tool_name", "type"),
        ({"arguments": None}, "arguments", "required"),
        ({"arguments": [1]}, "arguments", "type"),
        ({"dependsOn": {"sourceStepId": "a"}}, "depends_on", "type"),
        ({"dependsOn": ["a"]}, "depends_on[0]", "type"),
        ({"tool_name": "apply_style"}, "tool_name", "spelling"),
        ({"arguments": {"a": [{"b": float("nan")}]}}, "arguments.a[0].b", "json"),
        ({"arguments": {"a": {1: 2}}}, "arguments.a", "json"),
        ({"arguments": {"a": b"png"}}, "arguments.a", "json"),
    ],
)
def test_a_field_of_a_step(changes: dict[str, Any], field: str, rule: str) -> None:
    assert found(step("a", **changes)) == [("a", field, rule)]


@pytest.mark.parametrize(
    ("id", "rule"), [("", "required"), (" ", "required"), (7, "type"), ("$input_media", "reserved")]
)
def test_an_id_that_is_none(id: Any, rule: str) -> None:
    known = id if rule == "reserved" else None
    assert found(step("a"), step(id)) == [(known, "id", rule)]


def test_arguments_travel_with_all_that_json_has() -> None:
    assert found(step("a", arguments={"a": None, "b": [1, 2.5, True, ("x",)], "c": {"d": {}}})) == []


def test_arguments_that_hold_themselves() -> None:
    looped: dict[str, Any] = {}
    looped["a"] = looped
    assert [rule for _, _, rule in found(step("a", arguments=looped))] == ["json"]


def test_a_step_that_is_none() -> None:
    assert found("generate_image", step("b")) == [(None, "steps[0]", "type")]


@each_row(
    ("changes", "field", "rule"),
    [
        ({"sourceStepId": "gone"}, "source_step_id", "required"),
        ({"sourceStepId": ""}, "source_step_id", "required"),
        ({"sourceStepId": 3}, "source_step_id", "type"),
        ({"targetArgument": "gone"}, "target_argument", "required"),
        ({"targetArgument": ["x"]}, "target_argument", "type"),
        ({"transform": "gone"}, "transform", "required"),
        ({"transform": "image_uri"}, "transform", "choice"),
        ({"transform": 5}, "transform", "choice"),
        ({"mediaType": "model"}, "media_type", "choice"),
        ({"sourceArtifactIndex": -1}, "source_artifact_index", "range"),
        ({"sourceArtifactIndex": 0.5}, "source_artifact_index", "type"),
        ({"sourceArtifactIndex": True}, "source_artifact_index", "type"),
        ({"sourceArtifactId": 5}, "source_artifact_id", "type"),
        ({"required": "yes"}, "required", "type"),
    ],
)
def test_a_field_of_a_dependency(changes: dict[str, Any], field: str, rule: str) -> None:
    assert dependency(**changes) == [("b", f"depends_on[0].{field}", rule)]


@pytest.mark.parametrize(
    "changes",
    [{"sourceArtifactIndex": 0}, {"sourceArtifactId": "art"}, {"mediaType": "video"}, {"required": False}, {"more": 1}],
)
def test_a_dependency_with_all_it_may_say(changes: dict[str, Any]) -> None:
    assert dependency(**changes) == []


def test_ids_are_unique() -> None:
    assert found(step("a"), step("b"), step("a"), step("a")) == [("a", "id", "unique")] * 2


def test_a_dependency_needs_its_step() -> None:
    (finding,) = plan_findings({"steps": [step("still"), step("clip", "stil")]})
    assert (finding.step, finding.index, finding.rule) == ("clip", 1, "unknown-step")
    assert finding.message == str(finding)
    assert finding.message == (
        "step 'clip': depends_on[0].source_step_id "
        "must be the id of an earlier step or $input_media, got 'stil'; did you mean 'still'?"
    )


def test_a_dependency_needs_an_earlier_step() -> None:
    assert found(step("a", "b"), step("b")) == [("a", "depends_on[0].source_step_id", "order")]


def test_a_step_that_needs_itself() -> None:
    (finding,) = plan_findings({"steps": [step("a", "a")]}, whole=False)
    assert (finding.field, finding.rule) == ("depends_on", "cycle")
    assert finding.message == "step 'a': depends_on must not contain a cycle: 'a' needs itself"


def test_a_cycle_is_told_once_with_all_its_steps() -> None:
    plan = {"steps": [step("x"), step("a", "c"), step("b", "x", "a"), step("c", "b", "x")]}
    (finding,) = plan_findings(plan)
    assert finding.message == "step 'a': depends_on must not contain a cycle: 'a' needs 'c' needs 'b' needs 'a'"


def test_every_cycle_is_told_and_no_order_within_one() -> None:
    steps = [step("a", "b"), step("b", "a"), step("c", "d", "e"), step("d", "c"), step("e")]
    assert found(*steps) == [
        ("a", "depends_on", "cycle"),
        ("c", "depends_on", "cycle"),
        ("c", "depends_on[1].source_step_id", "order"),
    ]


@pytest.mark.parametrize(
    ("references", "rules"),
    [(None, []), ([], ["media"]), ((), ["media"]), ([{"url": "https://h/a.png"}], []), ({"url": "x"}, [])],
)
def test_request_media_needs_media_references(references: Any, rules: list[str]) -> None:
    assert [rule for _, _, rule in found(step("a", "$input_media"), media_references=references)] == rules


def test_a_plan_of_any_length_is_checked() -> None:
    chain = [step("s0"), *(step(f"s{i}", f"s{i - 1}") for i in range(1, 3000))]
    assert found(*chain) == []
    assert [rule for _, _, rule in found(step("s0", "s2999"), *chain[1:])] == ["cycle"]


def test_one_error_has_all_that_is_wrong() -> None:
    plan = WorkflowInput(
        steps=[
            WorkflowStep(id="a", tool_name="generate_image", depends_on=[needs("b"), needs("nobody")]),
            WorkflowStep(id="b", tool_name="edit_image", depends_on=[needs("a")]),
        ]
    )
    with pytest.raises(ValidationError) as caught:
        checked_plan(plan)
    error = caught.value
    assert str(error) == (
        "the plan has 2 errors:\n"
        "  - step 'a': depends_on[1].source_step_id must be the id of an earlier step or $input_media, got 'nobody'\n"
        "  - step 'a': depends_on must not contain a cycle: 'a' needs 'b' needs 'a'"
    )
    assert [it.rule for it in error.findings] == ["unknown-step", "cycle"]
    assert error.field == "input.steps[0].depends_on[1].source_step_id"
    assert pickle.loads(pickle.dumps(error)) == error


def test_one_mistake_is_one_line() -> None:
    with pytest.raises(ValidationError, match=r"^step 1 \(without an id\): tool_name is required$") as caught:
        checked_plan({"steps": [{"arguments": {}}]})
    assert caught.value.field == "input.steps[0].tool_name"


def test_a_mistake_of_the_plan_itself_has_its_field() -> None:
    with pytest.raises(ValidationError) as caught:
        checked_plan({"title": "x"})
    assert caught.value.field == "input.steps"


def test_a_plan_that_may_be_started_is_its_wire_form() -> None:
    plan = {"steps": [{"tool_name": "a_tool_of_tomorrow", "arguments": {"x_y": 1}}]}
    assert checked_plan(plan) == {"steps": [{"toolName": "a_tool_of_tomorrow", "arguments": {"x_y": 1}}]}


def test_no_secret_is_told() -> None:
    (finding,) = plan_findings({"steps": [step("a", toolName={"token": "s3cr3t-Value_01"})]})
    assert "s3cr3t" not in repr(finding)


def needs(source: str) -> WorkflowDependency:
    return WorkflowDependency(source_step_id=source, target_argument="sourceImageIndex", transform="image_index")


def test_findings_are_plain_values() -> None:
    one = PlanFinding(message="m", rule="type", field="f")
    assert (one, hash(one), one.severity) == (PlanFinding(message="m", rule="type", field="f"), hash(one), "error")


WORDS = st.sampled_from(
    ["id", "a", "b", "toolName", "tool_name", "arguments", "dependsOn", "depends_on", "sourceStepId", "targetArgument",
     "transform", "mediaType", "steps", "title", "$input_media", "image_index", "edit_image", "stitch_video", "prompt",
     "sourceImageIndex", "videoIndices", "change_angle", "overlays", "overlay_video", ""]
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 20) | st.floats() | WORDS | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.integers(), inner, max_size=4),
    max_leaves=12,
)
NEED = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("sourceStepId", "targetArgument", "transform", "mediaType"), ANYTHING)
)
STEP = st.fixed_dictionaries(
    {"toolName": WORDS | ANYTHING},
    optional={"id": ANYTHING, "arguments": ANYTHING, "dependsOn": st.lists(NEED | ANYTHING, max_size=3)},
)


@settings(deadline=None)
@given(ANYTHING | st.fixed_dictionaries({"steps": st.lists(STEP | ANYTHING, max_size=4)}))
def test_nothing_that_is_given_breaks_the_check(plan: Any) -> None:
    findings = plan_findings(plan)
    assert all(it.message and it.field for it in findings)
    if not any(it.severity == "error" for it in findings):
        json.dumps(checked_plan(plan, media_references=[{"url": "https://h/a"}]), allow_nan=False)
