"""A plan as a flowchart: every step and every dependency, and no text that breaks it."""

from __future__ import annotations

import re
import string
from typing import Any
from xml.etree.ElementTree import Element, fromstring

from hypothesis import given
from hypothesis import strategies as st

from sogni.models.workflows import WorkflowDependency, WorkflowInput, WorkflowStep

LINE = re.compile(
    r"""    (s\d+\["[^"\[\]]*"\]|media\[/"[^"]*"/\]|missing\d+>"[^"]*"\]|\w+ -(-|\.-)>\|"[^"|]*"\| s\d+)"""
)


def step(name: str | None, *needs: WorkflowDependency) -> WorkflowStep:
    return WorkflowStep(id=name, tool_name="edit_image", depends_on=list(needs) or None)


def need(source: str, **more: bool) -> WorkflowDependency:
    return WorkflowDependency(
        source_step_id=source, target_argument="sourceImageIndex", transform="image_index", **more
    )


def test_a_plan() -> None:
    plan = WorkflowInput(
        title='A "plan"',
        steps=[
            step("a", need("$input_media")),
            step(None, need("a", required=False)),
            step("c", need("gone"), need("a")),
        ],
    )
    assert plan.to_mermaid().split("\n") == [
        "---",
        'title: "A \\"plan\\""',
        "---",
        "flowchart TD",
        '    s0["a<br/>edit_image"]',
        '    s1["edit_image"]',
        '    s2["c<br/>edit_image"]',
        '    media[/"media of the request"/]',
        '    missing1>"gone: missing"]',
        '    media -->|"image_index to sourceImageIndex"| s0',
        '    s0 -.->|"image_index to sourceImageIndex"| s1',
        '    missing1 -->|"image_index to sourceImageIndex"| s2',
        '    s0 -->|"image_index to sourceImageIndex"| s2',
    ]


def test_dicts_are_drawn_as_what_they_stand_for() -> None:
    drawn = WorkflowInput(
        title="One",
        steps=[
            WorkflowStep(id="a", tool_name="edit_image"),
            WorkflowStep(id="b", tool_name="edit_image", depends_on=[need("a", required=False)]),
        ],
    ).to_mermaid()
    ours = {"source_step_id": "a", "target_argument": "sourceImageIndex", "transform": "image_index", "required": False}
    wire = {"sourceStepId": "a", "targetArgument": "sourceImageIndex", "transform": "image_index", "required": False}
    a: Any = {"id": "a", "toolName": "edit_image"}
    for dependency in (ours, wire):
        b: Any = WorkflowStep(id="b", tool_name="edit_image", depends_on=[dependency])  # type: ignore[list-item]
        assert WorkflowInput(title="One", steps=[a, b]).to_mermaid() == drawn
        assert (
            WorkflowInput(title="One", steps=(a, {**a, "id": "b", "depends_on": (dependency,)})).to_mermaid() == drawn
        )  # type: ignore[arg-type]


def test_a_plan_of_anything_is_drawn_as_far_as_it_goes() -> None:
    steps: Any = [5, {"id": 7, "depends_on": [None, {}, "a"]}, {"tool_name": None, "depends_on": "a"}]
    plan = WorkflowInput(title=8, steps=steps)  # type: ignore[arg-type]
    assert plan.to_mermaid().split("\n") == [
        "---",
        'title: "8"',
        "---",
        "flowchart TD",
        '    s0["7<br/>"]',
        '    s1[""]',
        '    missing0>": missing"]',
        '    missing0 -->|"to"| s0',
    ]
    assert WorkflowInput(steps=None).to_mermaid() == "flowchart TD"  # type: ignore[arg-type]


def test_a_text_is_told_by_codes_and_cut() -> None:
    plan = WorkflowInput(steps=[WorkflowStep(id='<a>"]\n```' + "x" * 99, tool_name="t#1;")])
    (line,) = plan.to_mermaid().split("\n")[1:]
    assert line == f'    s0["#60;a#62;#34;#93; #96;#96;#96;{"x" * 50}#8230;<br/>t#35;1#59;"]'


@given(st.text(), st.text(), st.text(string.printable))
def test_no_text_breaks_the_drawing(name: str, source: str, tool: str) -> None:
    plan = WorkflowInput(
        steps=[WorkflowStep(id=name, tool_name=tool), step(source), step("z", need(source), need(name))]
    )
    first, *lines = plan.to_mermaid().split("\n")
    assert first == "flowchart TD"
    assert all(LINE.fullmatch(line) for line in lines)
    assert len(list(drawn(plan).iter(f"{SVG}rect"))) == (4 if "" in (name, source) else 3)


SVG = "{http://www.w3.org/2000/svg}"


def drawn(plan: WorkflowInput) -> Element:
    """The drawing that a notebook shows."""
    return fromstring(plan._repr_mimebundle_()["image/svg+xml"])


def test_jupyter_shows_the_drawing() -> None:
    plan = WorkflowInput(steps=[step("a")])
    shown = plan._repr_mimebundle_()
    assert (list(shown), shown["text/vnd.mermaid"]) == (
        ["text/plain", "image/svg+xml", "text/vnd.mermaid"],
        plan.to_mermaid(),
    )
    assert plan._repr_html_ is None


def test_a_drawing_has_a_box_per_step_and_media_and_an_arrow_per_dependency() -> None:
    optional = WorkflowDependency(source_step_id="gone", transform="image_url", target_argument="x", required=False)
    plan = WorkflowInput(
        title="A & B", steps=[step("a"), step("b", need("a"), need("$input_media")), step("c", need("b"), optional)]
    )
    picture = drawn(plan)
    rows: dict[str, list[str]] = {}
    for box, texts in zip(picture.iter(f"{SVG}rect"), picture.iter(f"{SVG}g"), strict=True):
        rows.setdefault(box.attrib["y"], []).append(str(texts[0].text))
    assert list(rows.values()) == [["a", "media of the request", "gone"], ["b"], ["c"]]
    arrows = [arrow for arrow in picture.iter(f"{SVG}path") if "marker-end" in arrow.attrib]
    assert (len(arrows), ["stroke-dasharray" in arrow.attrib for arrow in arrows].count(True)) == (4, 1)
    assert picture[0].text == "A & B"


def test_texts_of_arrows_do_not_overlap() -> None:
    plan = WorkflowInput(steps=[step("a"), step("b"), step("c", need("a"), need("b")), step("d", need("a"))])
    picture = drawn(plan)
    beside = [text for text in picture.findall(f"{SVG}text") if " to " in str(text.text)]
    places = {(int(text.attrib["x"]) // 100, text.attrib["y"]) for text in beside}
    ends = {arrow.attrib["d"].split("C")[1] for arrow in picture.findall(f"{SVG}path")}
    assert (len(beside), len(places), len(ends)) == (3, 3, 3)


def test_a_cycle_and_an_empty_plan_can_be_drawn() -> None:
    cycle = WorkflowInput(steps=[step("a", need("b")), step("b", need("a")), step("c", need("c"))])
    assert len(list(drawn(cycle).iter(f"{SVG}rect"))) == 3
    assert list(drawn(WorkflowInput(steps=None)).iter(f"{SVG}rect")) == []  # type: ignore[arg-type]
