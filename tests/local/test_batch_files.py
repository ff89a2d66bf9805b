"""Reading the rows of a batch from a file, and converting strings to values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sogni.errors import ValidationError
from sogni.local.batch_files import field_name, field_value, read_rows, source_rows
from tests.tables import each_row


@each_row(
    ("name", "text", "value"),
    [
        ("steps", "4", 4),
        ("steps", "many", "many"),
        ("guidance", "3.5", 3.5),
        ("positive_prompt", "[a] 7", "[a] 7"),
        ("size_preset", "7", "7"),
        ("loras", "a; b", ["a", "b"]),
        ("loras", '["a"]', ["a"]),
        ("loras", "[a", "[a"),
        ("lora_strengths", "0.5;1", [0.5, 1]),
        ("context_images", "a.png;b.png", ["a.png", "b.png"]),
        ("starting_image", "a.png", "a.png"),
        ("generate_audio", "No", False),
        ("control_net", '{"name": "canny"}', {"name": "canny"}),
        ("no_such_field", "4", "4"),
    ],
)
def test_a_string_becomes_the_type_of_its_field(name: str, text: str, value: Any) -> None:
    assert (field_value(name, text), type(field_value(name, text))) == (value, type(value))


def test_columns_may_have_short_names() -> None:
    given = ["Prompt", "model", "Negative Prompt", "count", " steps "]
    expected = ["positive_prompt", "model_id", "negative_prompt", "number_of_media", "steps"]
    assert list(map(field_name, given)) == expected


@each_row(
    ("name", "text", "expected"),
    [
        ("a.csv", 'model;seed\n"a\nb";4\n\n# no\nc;\n', [(2, {"model_id": "a\nb", "seed": 4}), (6, {"model_id": "c"})]),
        ("a.csv", "", []),
        ("a.json", '[\n"a fox", {"steps": 1}\n,\n"an owl"]\n', [(2, "a fox"), (2, {"steps": 1}), (4, "an owl")]),
        ("a.json", '{"steps": 1}\n{"steps": 2}', [(1, {"steps": 1}), (2, {"steps": 2})]),
        ("a.json", '{"requests": ["b"], "defaults": {"fps": 1}}', [(1, {"fps": 1, "positive_prompt": "*"}), (1, "b")]),
        ("a.yaml", "# all\n- a fox\n- {steps: 1}\n", [(2, "a fox"), (3, {"steps": 1})]),
        ("a.yaml", "requests:\n- a fox\n", [(1, {"positive_prompt": "*"}), (2, "a fox")]),
        ("a.yaml", "", []),
        ("a.yaml", "a fox", [(1, "a fox")]),
        ("-", "\ufeffa fox\r\n", [(1, "a fox")]),
    ],
)  # fmt: skip
def test_rows_are_read_with_their_lines(name: str, text: str, expected: list[Any]) -> None:
    rows = read_rows(name, text.encode())
    assert [(it.line, it.content) for it in rows] == expected


@each_row(
    ("name", "text", "said"),
    [
        ("a.txt", b"caf\xe9", "a.txt is not UTF-8 text"),
        ("a.csv", b"a fox\nan owl\n", "a.csv:1: the first row of a CSV file must contain the names of fields"),
        ("a.csv", b"prompt,prompt\n", "a.csv:1: two columns are named 'positive_prompt'"),
        ("a.csv", b'prompt\n"' + b"x" * 140_000, "a.csv:2: not valid CSV"),
        ("a.json", b'["a fox"\n', "a.json:2: not valid JSON"),
        ("a.json", b'["a fox"] 1', "a.json:1: not valid JSON: Extra data"),
        ("-", b'["a fox", ', "line 1: not valid JSON"),
        ("a.json", b"[" + b"1" * 5000 + b"]", "a.json:1: not valid JSON: Exceeds the limit"),
        ("a.json", b'{"requests": [], "more": 1}', "a.json:1: a document must contain requests (a list) and defaults"),
        ("a.yaml", b"requests: []\ndefaults: 1\n", "got defaults 1"),
        ("a.yaml", b"- {a fox\n", "a.yaml:2: not valid YAML"),
        ("a.yaml", b"- !!int x\n", "a.yaml: cannot be read"),
    ],
)
def test_files_that_are_no_table_are_refused(name: str, text: bytes, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_rows(name, text)
    assert said in str(caught.value)


def test_a_source_is_a_file_or_an_iterable(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a fox\n")
    rows, name = source_rows(str(tmp_path / "list.txt"))
    assert (name, rows[0].place) == ("list", f"{tmp_path / 'list.txt'}:1")
    rows, name = source_rows(iter(["a fox"]))
    assert (name, rows[0].place) == ("batch", "requests[0]")
