"""Python functions as tools: their definitions for the model, and its calls (chat §2.6)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import attrs
import pytest

from sogni.core.tools.functions import function_tool, tools_given
from sogni.core.tools.hosted import SogniTools
from sogni.errors import ValidationError
from sogni.models.tools import ToolCall, ToolCallFunction
from sogni.transport.driver import check_callbacks
from tests.tables import each_row


@attrs.frozen
class Place:
    city: str
    country: str = "NO"


@dataclasses.dataclass
class Trip:
    to: Place
    days: int = 1


def get_weather(place: Place, day: date | None = None, unit: Literal["C", "F"] = "C", *, exact: bool = False) -> str:
    """Tell the weather.

    Args:
        place: Where.
        day: When; today if left out.
    """
    return f"{place} {day} {unit} {exact}"


def call(arguments: str) -> ToolCall:
    return ToolCall(id="1", function=ToolCallFunction(name="get_weather", arguments=arguments))


def test_a_function_is_told_by_signature_annotations_and_docstring() -> None:
    function = function_tool(get_weather).definition["function"]
    properties = function["parameters"]["properties"]
    assert (function["name"], function["description"]) == ("get_weather", "Tell the weather.")
    assert function["parameters"]["required"] == ["place"]
    assert properties["unit"] == {"type": "string", "enum": ["C", "F"], "default": "C"}
    assert properties["exact"] == {"type": "boolean", "default": False}
    assert properties["day"]["description"] == "When; today if left out."
    assert function["parameters"]["$defs"]["Place"]["required"] == ["city"]


def test_a_function_without_words_is_told_too() -> None:
    def ping(anything, text: Annotated[str, "What to say"] = "x"):  # type: ignore[no-untyped-def]
        pass

    function = function_tool(ping).definition["function"]
    assert "description" not in function
    assert function["parameters"]["properties"] == {
        "anything": {},
        "text": {"type": "string", "description": "What to say", "default": "x"},
    }
    made = function_tool(ping).arguments(
        ToolCall(function=ToolCallFunction(name="ping", arguments='{"anything": [1]}'))
    )
    assert made == {"anything": [1]}


def test_arguments_arrive_as_the_annotated_types() -> None:
    tool = function_tool(get_weather)
    made = tool.arguments(call('{"place": {"city": "Oslo"}, "day": "2026-11-22", "exact": true}'))
    assert made == {"place": Place("Oslo"), "day": date(2026, 11, 22), "exact": True}
    assert tool.function(**made) == "Place(city='Oslo', country='NO') 2026-11-22 C True"


def test_classes_inside_lists_and_classes() -> None:
    def book(trips: list[Trip], ids: dict[str, UUID]) -> None: ...

    made = function_tool(book).arguments(
        call('{"trips": [{"to": {"city": "Oslo"}}], "ids": {"a": "12345678-1234-5678-1234-567812345678"}}')
    )
    assert made["trips"] == [Trip(Place("Oslo"))]
    assert made["ids"] == {"a": UUID("12345678-1234-5678-1234-567812345678")}


def test_a_text_is_no_list_of_its_letters_and_a_union_is_the_first_that_fits() -> None:
    def paint(colours: list[str], size: int | Place | None = None) -> None: ...

    tool = function_tool(paint)
    with pytest.raises(ValidationError, match="the argument 'colours' is invalid: expected a list, got 'red'"):
        tool.arguments(call('{"colours": "red"}'))
    with pytest.raises(ValidationError, match="'size' is invalid: expected one of int, Place, got 'big'"):
        tool.arguments(call('{"colours": [], "size": "big"}'))
    assert tool.arguments(call('{"colours": ["red"], "size": {"city": "Oslo"}}'))["size"] == Place("Oslo")


def test_null_stands_for_what_is_not_given() -> None:
    tool = function_tool(get_weather)
    assert tool.arguments(call('{"place": {"city": "Oslo"}, "day": null, "unit": null}')) == {
        "place": Place("Oslo"),
        "day": None,
    }


@each_row(
    ("arguments", "words"),
    [
        ("{oops", "get_weather: the arguments are not valid JSON"),
        ("[1]", "get_weather: the arguments are not a JSON object"),
        ("", "get_weather: the argument 'place' is required"),
        ('{"plac": 1}', "get_weather has no argument 'plac'; did you mean 'place'"),
        ('{"place": {}}', r"get_weather: the argument 'place' is invalid: required field 'city' is missing"),
        ('{"place": {"city": "Oslo"}, "exact": "yes"}', "the argument 'exact' is invalid: expected true or false"),
        ('{"place": {"city": "Oslo"}, "day": "tomorrow"}', "the argument 'day' is invalid"),
        ('{"place": null}', "the argument 'place' is invalid"),
    ],
)
def test_what_does_not_fit_is_told_with_the_name_of_the_argument(arguments: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        function_tool(get_weather).arguments(call(arguments))


class Thermometer:
    """Measures."""

    def measure(self, place: str) -> float:
        """Measure the temperature."""
        return float(len(place))

    def __call__(self, place: str) -> float:
        return self.measure(place)


def test_methods_partial_functions_and_objects() -> None:
    measure = function_tool(Thermometer().measure)
    assert (measure.name, list(measure.kinds)) == ("measure", ["place"])
    partial = function_tool(functools.partial(get_weather, exact=True))
    assert (partial.name, partial.required) == ("get_weather", {"place"})
    assert function_tool(Thermometer()).definition["function"]["description"] == "Measures."


def starred(*places: str) -> None: ...


def positional(place: str, /) -> None: ...


def keywords(**places: str) -> None: ...


def odd(thing: Thermometer) -> None: ...


def unresolved(thing: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


def called(back: Callable[[int], str]) -> None: ...


@each_row(
    ("function", "words"),
    [
        (lambda place: place, "a tool name must"),
        (starred, "has the parameter \\*places"),
        (positional, "has the parameter place"),
        (keywords, "has the parameter \\*\\*places"),
        (odd, "odd.thing"),
        (called, "called.back: .* cannot be parsed from JSON"),
        (unresolved, "annotations of unresolved"),
        (type, "no signature|annotations|tool"),
    ],
)
def test_what_a_model_cannot_be_told_is_refused(function: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        function_tool(function)


def test_definitions_travel_and_functions_are_kept() -> None:
    own = {"type": "function", "function": {"name": "mine"}}
    tools, functions = tools_given([own, get_weather, SogniTools.generate_image, {}])
    assert tools is not None
    assert tools[0] == own
    assert [tool.get("function", {}).get("name") for tool in tools] == ["mine", "get_weather", "generate_image", None]
    assert list(functions) == ["get_weather"]
    assert tools_given(None) == (None, {})


def test_a_definition_may_be_a_class() -> None:
    @attrs.frozen
    class Tool:
        type: str = "function"

    assert tools_given([Tool()]) == ([{"type": "function"}], {})


@pytest.mark.parametrize("tools", ["get_weather", {"type": "function"}, 3, ["get_weather"], [None], [3]])
def test_what_is_no_tool_is_refused(tools: Any) -> None:
    with pytest.raises(ValidationError, match="tools"):
        tools_given(tools)


@pytest.mark.parametrize("first", [get_weather, {"type": "function", "function": {"name": "get_weather"}}])
def test_two_tools_of_one_name_are_refused(first: Any) -> None:
    with pytest.raises(ValidationError, match="duplicate tool name 'get_weather'"):
        tools_given([first, get_weather])


async def later(text: str) -> str:
    return text


class Later:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize("function", [later, functools.partial(later, "x"), Later(), [get_weather, later]])
def test_async_functions_are_for_the_other_package(function: Any) -> None:
    with pytest.raises(TypeError, match=r"on_tool_call: .* is an async function; use sogni_async"):
        check_callbacks(on_tool_call=function)


def test_other_functions_are_not_refused() -> None:
    check_callbacks(on_tool_call=None, tools=[get_weather, {}], on_progress=Thermometer())
