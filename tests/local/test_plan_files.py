"""Plan files can be read back, and errors name their line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sogni import WorkflowDependency, WorkflowInput, WorkflowStep
from sogni.errors import ValidationError
from sogni.local import plan_files

SUFFIXES = (".yaml", ".yml", ".json")

YAML = """\
# A teaser in two steps.
title: Kite teaser
steps:
  - id: still
    tool_name: generate_image
    arguments: {prompt: a red kite, aspectRatio: 16:9, seed: 7, guidance: 1.5, d: 2026-06-01, on: off, none: null, e: =}

  - id: clip
    toolName: animate_photo
    arguments:
      prompt: |
        the kite dips
        in the wind
      loop: true
    depends_on:
      - source_step_id: still
        targetArgument: sourceImageIndex
        transform: image_index
"""

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TRICKY = st.sampled_from(
    ["16:9", "on", "No", "~", "null", "1e3", "0o17", "017", "0x1F", "1_000", "2026-06-01", "=", "<<", "- a", "a: b",
     " a", "#x", "'", '"', "true", "1.", ".5", ".inf", "", "\n", "a\n", "\na", "a \nb", "\x85", "\ufeff", "é\U0001f600"]
)  # fmt: skip


def refused(path: Path) -> str:
    with pytest.raises(ValidationError) as caught:
        WorkflowInput.load(path)
    assert caught.value.status == 400
    return str(caught.value)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan_in_yaml(tmp_path: Path) -> None:
    plan = WorkflowInput.load(written(tmp_path / "plan.yaml", YAML))
    assert plan == WorkflowInput(
        title="Kite teaser",
        steps=[
            WorkflowStep(
                id="still",
                tool_name="generate_image",
                arguments={
                    "prompt": "a red kite",
                    "aspectRatio": "16:9",
                    "seed": 7,
                    "guidance": 1.5,
                    "d": "2026-06-01",
                    "on": "off",
                    "none": None,
                    "e": "=",
                },
            ),
            WorkflowStep(
                id="clip",
                tool_name="animate_photo",
                arguments={"prompt": "the kite dips\nin the wind\n", "loop": True},
                depends_on=[
                    WorkflowDependency(
                        source_step_id="still", target_argument="sourceImageIndex", transform="image_index"
                    )
                ],
            ),
        ],
    )


@settings(deadline=None)
@given(value=VALUES | TRICKY, suffix=st.sampled_from(SUFFIXES))
def test_what_is_saved_is_loaded_again(tmp_path_factory: pytest.TempPathFactory, value: Any, suffix: str) -> None:
    step = WorkflowStep(id="a", tool_name="t", arguments={"value": value}, extra={"more": [1]})
    plan = WorkflowInput(title="T", steps=[step])
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    assert plan.save(path) == path
    assert WorkflowInput.load(path) == plan


def test_a_saved_plan_is_for_people_and_for_the_wire(tmp_path: Path) -> None:
    plan = WorkflowInput.load(written(tmp_path / "plan.yaml", YAML))
    text = plan.save(tmp_path / "deeper" / "again.yaml").read_text()
    assert text.startswith("steps:\n- toolName: generate_image\n")
    assert "aspectRatio: '16:9'" in text
    assert "prompt: |\n" in text
    saved = json.loads(plan.save(tmp_path / "plan.json").read_text())
    assert saved["steps"][1]["dependsOn"][0]["sourceStepId"] == "still"
    assert sorted(it.name for it in tmp_path.rglob("*")) == ["again.yaml", "deeper", "plan.json", "plan.yaml"]


def test_saving_replaces_and_leaves_nothing_when_it_cannot(tmp_path: Path) -> None:
    plan = WorkflowInput(steps=[])
    (tmp_path / "taken.json").mkdir()
    with pytest.raises(OSError, match=r"taken\.json"):
        plan.save(tmp_path / "taken.json")
    plan.save(tmp_path / "a.json")
    assert WorkflowInput(steps=[], title="T").save(tmp_path / "a.json").read_text() != ""
    assert sorted(it.name for it in tmp_path.iterdir()) == ["a.json", "taken.json"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_no_file_can_hold_is_not_written(tmp_path: Path, suffix: str) -> None:
    step = WorkflowStep(id="a", tool_name="t", arguments={"image": b"png"})
    with pytest.raises(ValidationError, match=r"step 'a': arguments\.image cannot be written as JSON"):
        WorkflowInput(steps=[step]).save(tmp_path / f"plan{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_may_not_be_started_can_be_saved(tmp_path: Path) -> None:
    """Work in progress is not lost; loading it tells what is wrong."""
    plan = WorkflowInput(steps=[WorkflowStep(id="a", tool_name="t"), WorkflowStep(id="a", tool_name="t")])
    plan.save(tmp_path / "plan.json")
    assert refused(tmp_path / "plan.json").endswith("step 'a': id must be unique, but step 1 has it too")


@pytest.mark.parametrize("name", ["plan", "plan.txt", "plan.yaml.bak"])
def test_a_suffix_that_says_nothing(tmp_path: Path, name: str) -> None:
    words = refused(written(tmp_path / name, "{}"))
    assert words == f"{tmp_path / name}: the name of a plan must end with .json, .yaml, .yml"
    with pytest.raises(ValidationError):
        WorkflowInput(steps=[]).save(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WorkflowInput.load(tmp_path / "plan.yaml")


def test_every_mistake_has_its_line_and_step(tmp_path: Path) -> None:
    text = YAML.replace("tool_name: generate_image", "tool: generate_image").replace(
        "source_step_id: still", "source_step_id: stil"
    )
    path = written(tmp_path / "plan.yaml", text)
    assert refused(path) == (
        "the plan has 2 errors:\n"
        f"  - {path}:4: step 'still': tool_name is required\n"
        f"  - {path}:8: step 'clip': depends_on[0].source_step_id "
        f"must be the id of an earlier step or $input_media, got 'stil'; did you mean 'still'?"
    )


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_every_mistake_in_json_has_its_line(tmp_path: Path, indent: int | None) -> None:
    plan = {
        "a": [{}, "]"],
        "title": "}",
        "steps": [{"id": "a", "toolName": "t", "arguments": {"x": '["]'}}, {"id": "b"}],
    }
    text = "\n" + json.dumps(plan, indent=indent)
    path = written(tmp_path / "plan.json", text)
    line = (
        {None: 2, 0: 16, 2: 15}[indent]
        if indent is None
        else next(number for number, it in enumerate(text.split("\n"), 1) if '"id": "b"' in it) - 1
    )
    assert f"{path}:{line}: step 'b': tool_name is required" in refused(path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("plan.json", '{"steps": [\n  {"id": "a",,}]}', ":2: not valid JSON: "),
        ("plan.json", '{"steps": [],\n "steps": []}', ": duplicate key 'steps'"),
        ("plan.json", "[]", ": the plan: input must be a WorkflowInput or a dict, got []"),
        ("plan.json", "{}", ": the plan: steps is required"),
        ("plan.json", '{"steps": {}}', ": the plan: steps must be a list, got {}"),
        ("plan.yaml", "steps: []\n}\n", ":2: not valid YAML: "),
        ("plan.yaml", "steps: []\nsteps: []\n", ":2: duplicate key 'steps'"),
        ("plan.yaml", "steps: []\n---\nsteps: []\n", ":2: not valid YAML: "),
        ("plan.yaml", "", ": the plan: input must be a WorkflowInput or a dict, got None"),
        ("plan.yaml", "- a\n", ": the plan: input must be a WorkflowInput or a dict, got ['a']"),
        ("plan.yaml", "steps: a\n", ": the plan: steps must be a list, got 'a'"),
        ("plan.yaml", "title: x\nsteps: &a\n  - *a\n", ":2: a value contains itself"),
        ("plan.yaml", "steps: !!python/object/apply:os.getcwd []\n", ":1: not valid YAML: "),
        ("plan.yaml", "steps: []\na: {[1, 2]: 3}\n", ":2: not valid YAML: "),
        ("plan.yaml", "steps: []\n\x07", ": not valid YAML: "),
        ("plan.json", "[" * 100_000, ": cannot be read: "),
        ("plan.json", '{"steps": ' + "9" * 5_000 + "}", ": cannot be read: "),
        ("plan.yaml", "[" * 600 + "]" * 600, ": cannot be read: "),
        ("plan.yaml", "steps: " + "9" * 5_000, ": cannot be read: "),
    ],
    ids=lambda it: it[:20],
)
def test_a_text_that_is_no_plan(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = written(tmp_path / name, text)
    assert f"{path}{words}" in refused(path)


def test_a_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_bytes(b"title: \xff")
    assert refused(tmp_path / "plan.yaml").endswith("plan.yaml: not a UTF-8 file")


def test_anchors_and_merges_are_read(tmp_path: Path) -> None:
    steps = "- {tool_name: t, arguments: {<<: *d, n: 2}}\n- {tool_name: t, arguments: *d}\n"
    text = f"x: &d {{prompt: a, n: 1}}\nsteps:\n{steps}"
    plan = WorkflowInput.load(written(tmp_path / "plan.yaml", text))
    assert [it.arguments for it in plan.steps] == [{"prompt": "a", "n": 2}, {"prompt": "a", "n": 1}]


def test_a_few_lines_cannot_stand_for_billions(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 100000 values" in refused(written(tmp_path / "plan.yaml", "\n".join(lines)))


def test_a_byte_order_mark_is_no_part_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"steps": []}', encoding="utf-8-sig")
    assert WorkflowInput.load(tmp_path / "plan.json") == WorkflowInput(steps=[])


def test_json_works_without_ruamel_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    plan = WorkflowInput(steps=[])
    assert WorkflowInput.load(plan.save(tmp_path / "plan.json")) == plan
    with pytest.raises(ImportError, match=r"pip install 'sogni\[yaml\]'"):
        WorkflowInput.load(written(tmp_path / "plan.yaml", "steps: []"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_a_character_is_kept(tmp_path: Path, suffix: str) -> None:
    step = WorkflowStep(tool_name="generate_image", arguments={"prompt": "half \ud83d größer"})
    plan = WorkflowInput(title="\udfff", steps=[step])
    path = plan.save(tmp_path / f"plan{suffix}")
    assert WorkflowInput.load(path) == plan
    path.read_text(encoding="utf-8")


BLOCKS = """
# note
defaults: {steps: 4}
requests:
  - positive_prompt: |
      two
      lines
    seed: 7
  - >-
    a
    b
"""
QUICK = [
    BLOCKS,
    "- a fox\n- an owl\n- [16:9, on, 017, 1_000, 2026-06-01, =, ~, 1.5, 0x1F, '1']\n",
    "---\n- \"a\\u00e9\\n\\/\"\n- 'it''s'\n- [[fox]]\n- a fox! & *b*\n- 日本 😀\n",
    "- {a: 1, a: 2}\n",
]
SLOW = [
    *("- &a fox\n- *a\n", "- !!str 1\n", "%YAML 1.1\n---\n- on\n", "- a\n---\n- b\n"),
    *("- a\tb\n", "-\n- b\n", "- |#\n", "", "- [1\n", "- 'a\n", "a: b: c\n"),
]


@pytest.mark.parametrize("text", [*QUICK, *SLOW])
def test_libyaml_reads_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    assert (plan_files._compose_quickly(text) is not None) is (text in QUICK)

    def read() -> Any:
        try:
            value, node = plan_files.yaml_document(Path("list.yaml"), text)
        except ValidationError as error:
            return str(error)
        places = [it[0] if isinstance(it, tuple) else it for it in (node.value if node is not None else ())]
        return repr(value), [it.start_mark.line for it in places]

    slow = read()
    monkeypatch.setattr(plan_files, "_LARGE", 0)
    assert read() == slow
