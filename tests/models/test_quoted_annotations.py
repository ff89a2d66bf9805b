"""Classes whose annotations name others in quotes; this module has no annotations that are strings as a whole."""

import dataclasses
from typing import Any, Optional

import attrs
import pytest

from sogni.core.tools.functions import function_tool
from sogni.core.tools.schemas import schema_of
from sogni.models.answers import can_be_read, read_answer
from sogni.models.tools import ToolCall, ToolCallFunction


@attrs.frozen
class Branch:
    name: str
    twigs: list["Branch"] = attrs.field(factory=list)
    above: Optional["Branch"] = None
    leaves: dict[str, "Leaf"] = attrs.field(factory=dict)


@attrs.frozen
class Leaf:
    colour: str


@dataclasses.dataclass
class Folder:
    name: str
    inside: list["Folder"] = dataclasses.field(default_factory=list)


TREE = '{"name": "a", "twigs": [{"name": "b"}], "above": {"name": "c"}, "leaves": {"d": {"colour": "red"}}}'
BRANCH = Branch("a", [Branch("b")], Branch("c"), {"d": Leaf("red")})


@pytest.mark.parametrize(
    ("kind", "text", "made"),
    [
        (Branch, TREE, BRANCH),
        (Branch | None, TREE, BRANCH),
        (Folder, '{"name": "a", "inside": [{"name": "b"}]}', Folder("a", [Folder("b")])),
    ],
)
def test_what_a_schema_can_be_made_of_can_be_read(kind: Any, text: str, made: Any) -> None:
    assert schema_of(kind)
    assert can_be_read(kind)
    assert read_answer(kind, text) == made


def test_a_function_may_take_them() -> None:
    def grow(branch: Branch, twigs: list["Branch"], other: Folder | str | None = None) -> None: ...

    arguments = f'{{"branch": {TREE}, "twigs": [{TREE}], "other": "none"}}'
    made = function_tool(grow).arguments(ToolCall(function=ToolCallFunction(name="grow", arguments=arguments)))
    assert made == {"branch": BRANCH, "twigs": [BRANCH], "other": "none"}
