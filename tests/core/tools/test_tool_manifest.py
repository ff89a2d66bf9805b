"""The definitions of the hosted tools: the structure in the protocol notes, with descriptions of our own (tools §1)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from sogni.core.data import table
from sogni.core.tools.hosted import DIRECT, definition_of, parameters_of, tool_names
from tests.tables import each_row

SHEET = json.loads((Path(__file__).parents[3] / "docs" / "protocol" / "tools-5x.json").read_text("utf-8"))["tools"]
TOOLS = table("tools")["tools"]


def _structure(schema: Any) -> Any:
    """A schema without its prose; properties may themselves be called `description`."""
    if isinstance(schema, list):
        return [_structure(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "description"}
    named = {name: _structure(one) for name, one in kept.pop("properties", {}).items()}
    plain = {key: _structure(value) for key, value in kept.items()}
    return {**plain, "properties": named} if "properties" in schema else plain


def _properties(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(schema.get("items"), dict):
        yield from _properties(schema["items"], path)
    for name, one in schema.get("properties", {}).items():
        yield f"{path}.{name}", one
        yield from _properties(one, f"{path}.{name}")


def test_the_tools_are_those_of_the_sheet_in_its_order() -> None:
    assert [tool["name"] for tool in SHEET] == list(tool_names()) == [tool["name"] for tool in TOOLS]
    assert len(SHEET) == 30


@each_row("place", range(len(SHEET)), ids=[tool["name"] for tool in SHEET])
def test_the_structure_is_that_of_the_sheet(place: int) -> None:
    expected, found = SHEET[place]["parameters"], TOOLS[place]["parameters"]
    assert _structure(found) == _structure(expected)
    assert list(found["properties"]) == list(expected["properties"])
    assert {*TOOLS[place]} == {"name", "description", "parameters"}


@each_row("tool", TOOLS, ids=lambda tool: tool["name"])
def test_every_tool_and_every_argument_is_described(tool: dict[str, Any]) -> None:
    assert len(tool["description"]) > 50
    short = [path for path, one in _properties(tool["parameters"]) if not len(one.get("description", "")) > 10]
    assert short == []


@each_row("tool", TOOLS, ids=lambda tool: tool["name"])
def test_the_schemas_are_schemas(tool: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(tool["parameters"])


def test_the_direct_tools_are_tools() -> None:
    assert set(DIRECT) <= set(tool_names())


def test_whoever_gets_a_definition_gets_a_copy() -> None:
    taken = definition_of("generate_image")
    taken["function"]["parameters"]["properties"].clear()
    assert "prompt" in parameters_of("generate_image")["properties"]
    assert {key: value for key, value in taken.items() if key != "function"} == {"type": "function"}


def test_importing_reads_no_definitions() -> None:
    code = "import sogni.core.tools.arguments, sogni.core.data as d; assert not d.table.cache_info().currsize"
    subprocess.run([sys.executable, "-c", code], check=True)
