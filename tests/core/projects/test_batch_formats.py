"""The format of a batch file, from its suffix or its shape."""

from __future__ import annotations

from sogni.core.projects.batch_requests import format_of
from tests.tables import each_row


@each_row(
    ("name", "format"),
    [
        ("list.csv", "CSV"),
        ("list.TSV", "CSV"),
        ("a/list.yaml", "YAML"),
        ("list.yml", "YAML"),
        ("list.json", "JSON"),
        ("list.jsonl", "lines"),
    ],
)
def test_a_suffix_tells_the_format(name: str, format: str) -> None:
    assert format_of(name, "a fox") == format


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
        ("CSV", "prompt\tsteps\na fox\t\nan owl\t8"),
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
def test_a_shape_tells_the_format(kind: str, text: str) -> None:
    for name in ("list.txt", "-"):
        assert format_of(name, text) == kind


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
def test_in_doubt_a_line_is_a_prompt(text: str) -> None:
    for name in ("list.txt", "-", "list.jsonl", "list"):
        assert format_of(name, text) == "lines"
