"""Which files of a batch are refused because their lines are not requests."""

from __future__ import annotations

import pytest

from sogni.core.projects.batch_requests import refuse_other_formats
from sogni.errors import ValidationError
from tests.tables import each_row


@pytest.mark.parametrize("name", ["list.csv", "list.TSV", "a/list.yaml", "list.yml", "list.json"])
def test_a_suffix_tells_another_format(name: str) -> None:
    suffix = name.rpartition(".")[2].lower()
    with pytest.raises(ValidationError, match=rf"got a file that ends with \.{suffix} ") as caught:
        refuse_other_formats(name, ["a fox"])
    assert caught.value.field == "file"


@each_row(
    ("kind", "text"),
    [
        ("JSON", '[\n  "a fox",\n  "an owl"\n]'),
        ("JSON", '\ufeff["a fox", "an owl"]'),
        ("JSON", '\n[{"positive_prompt": "a fox"}]'),
        ("JSON", "[]"),
        ("JSON", '{\n  "positive_prompt": "a fox"\n}'),
        ("CSV", "prompt,steps,seed\na fox,4,1\nan owl,4,2"),
        ("CSV", '# animals\n"seed","positive_prompt"\n1,"a fox, red"'),
        ("CSV", "Prompt;Steps\na fox;4"),
        ("CSV", "model|Positive Prompt\nm|a fox"),
        ("CSV", "prompt\na fox"),
        ("CSV", "a fox\t4\nan owl\t8"),
        ("CSV", '"a fox","4"\n"an ""old"" owl", "8"'),
        ("YAML", "---\na fox"),
        ("YAML", "%YAML 1.2\na fox"),
        ("YAML", "- a fox\n- an owl"),
        ("YAML", "# animals\n- positive_prompt: a fox\n  steps: 4\n- positive_prompt: an owl"),
        ("YAML", "prompts:\n- a fox"),
        ("YAML", "requests:\n  - a fox"),
        ("YAML", "requests:\n- a fox"),
        ("YAML", "positivePrompt: a fox"),
    ],
)
def test_a_shape_tells_another_format(kind: str, text: str) -> None:
    for name in ("list.txt", "-"):
        with pytest.raises(ValidationError, match=f"got what looks like {kind}: "):
            refuse_other_formats(name, text.split("\n"))


@each_row(
    "text",
    [
        "",
        "# nothing",
        "a fox\nan owl",
        '{"positive_prompt": "a fox"}\n{"positive_prompt": "an owl"}',
        "[masterpiece] a fox\n[[fox]]\n[fox:0.5], owl",
        "a fox, red, 8k\nan owl, grey",
        "a fox, 1990\nan owl, 1991",
        "fox; owl\nhare; deer",
        '"a fox, red"',
        '"open", the sign says\n"shut", says the other',
        "prompt",
        "an engineer, a prompt, a robot\na fox",
        "a fox\tin snow",
        "a fox\tin snow\nan owl",
        "-10 degrees, ice\nsnow",
        "- a fox\nan owl",
        "noir:\nfilm still",
        "noir:",
        "style: noir",
        '"' + "x" * 140_000 + '", fox',
    ],
)
def test_prompts_and_objects_are_taken(text: str) -> None:
    for name in ("list.txt", "-", "list.jsonl", "list"):
        refuse_other_formats(name, text.split("\n"))
