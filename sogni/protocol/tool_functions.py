"""Python functions as tools: decides what a model is told of a function, and what its call means (chat §2.6).

Called before a completion is sent and when a model calls. What the annotations and the docstring say is what the model
reads; arguments arrive at the function as the annotated types. It calls nothing.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from attrs import field, frozen

from ..errors import ProtocolError, ValidationError
from ..models.answers import can_be_read, read_value
from ..models.chat import ToolCall
from ..models.converter import to_dict
from .docstrings import read_docstring
from .field_checks import refusal, shown
from .json_schema import Member, object_schema, resolved_hints
from .suggestions import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOOL = "a tool in the OpenAI form, or a Python function"


@frozen
class FunctionTool:
    """A function a model may call; `definition` is what it is told of it."""

    name: str
    function: Callable[..., Any] = field(repr=False)
    definition: dict[str, Any] = field(repr=False)
    kinds: Mapping[str, Any] = field(repr=False)
    required: frozenset[str] = frozenset()

    def arguments(self, call: ToolCall) -> dict[str, Any]:
        """The arguments of a call in the types the function is annotated with.

        ValidationError, in words for the model, for what is no JSON, unknown, missing or does not fit.
        """
        given = self._given(call)
        for name in given:
            if name not in self.kinds:
                sentence = f"{self.name} has no argument {name!r}{did_you_mean(name, self.kinds)}"
                raise refusal(name, None, tuple(self.kinds), sentence)
        made = {}
        for name, kind in self.kinds.items():
            if name not in given:
                if name in self.required:
                    raise refusal(name, None, "a value", f"{self.name}: the argument {name!r} is required")
                continue
            if given[name] is None and name not in self.required and not _takes_none(kind):
                continue  # null for "not given", as models write it
            try:
                made[name] = read_value(kind, given[name], f"{self.name}: the argument {name!r} does not fit")
            except ProtocolError as error:
                raise refusal(name, shown(given[name]), str(kind), str(error)) from error
        return made

    def _given(self, call: ToolCall) -> dict[str, Any]:
        try:
            given = json.loads(call.function.arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise refusal(
                "arguments", None, "JSON", f"{self.name}: the arguments are no valid JSON ({error})"
            ) from error
        if not isinstance(given, dict):
            raise refusal("arguments", shown(given), "a JSON object", f"{self.name}: the arguments are no JSON object")
        return given


def function_tool(function: Callable[..., Any]) -> FunctionTool:
    """What a model is told of a function: name, description, parameters. ValidationError for what it cannot be told."""
    target = function.func if isinstance(function, functools.partial) else function
    name = getattr(target, "__name__", type(target).__name__)
    if not _NAME.fullmatch(name):
        sentence = f"tools: a tool needs a name of letters, digits, _ and -, not {name!r}; give it one with def"
        raise refusal("tools", name, "a named function", sentence)
    hints = resolved_hints(target if inspect.isroutine(target) else type(target).__call__, name)
    told = read_docstring(getattr(target, "__doc__", None))
    members = [_member(name, parameter, hints, told.parameters) for parameter in _parameters(function, name)]
    schema = object_schema(name, members)
    definition: dict[str, Any] = {"name": name, "parameters": schema}
    if told.description:
        definition["description"] = told.description
    return FunctionTool(
        name=name,
        function=function,
        definition={"type": "function", "function": definition},
        kinds={member.name: member.kind for member in members},
        required=frozenset(member.name for member in members if member.required),
    )


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError as error:
        raise refusal("tools", name, "a function with a signature", f"tools: {name} has no signature") from error
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            sentence = f"tools: {name} takes {parameter}, which a model cannot name; give its arguments names"
            raise refusal("tools", str(parameter), "arguments with names", sentence)
    return parameters


def _member(name: str, parameter: inspect.Parameter, hints: Mapping[str, Any], told: Mapping[str, str]) -> Member:
    kind = hints.get(parameter.name, Any)
    if not can_be_read(kind):
        where = f"{name}.{parameter.name}"
        raise refusal("tools", where, "types that JSON can carry", f"{where}: nothing can make {kind} of JSON")
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    return Member(parameter.name, kind, required, told.get(parameter.name), default)


def _takes_none(kind: Any) -> bool:
    try:
        read_value(kind, None, "")
    except ProtocolError:
        return False
    return True


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling a function gives something to await."""
    target = function.func if isinstance(function, functools.partial) else function
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(target, "__call__", None))  # noqa: B004


def refuse_async(**functions: Any) -> None:
    """TypeError when a function is async: the blocking package awaits nothing."""
    for name, function in functions.items():
        for one in function if isinstance(function, list | tuple) else (function,):
            if callable(one) and not isinstance(one, Mapping) and is_async(one):
                label = getattr(one, "__name__", type(one).__name__)
                raise TypeError(f"{name}: {label} is an async function; use sogni_async, or an ordinary function")


def tools_given(tools: Any) -> tuple[list[Any] | None, dict[str, FunctionTool]]:
    """Tools as they travel, and the Python functions among them by name.

    ValidationError for what is neither a definition nor a function, and for two tools of one name.
    """
    if tools is None:
        return None, {}
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Iterable):
        raise refusal("tools", type(tools).__name__, f"a list, each entry {_TOOL}")
    travelling: list[Any] = []
    functions: dict[str, FunctionTool] = {}
    names: set[str | None] = set()
    for place, tool in enumerate(tools):
        function = function_tool(tool) if callable(tool) else None
        definition = function.definition if function else to_dict(tool) if _is_definition(tool) else None
        if not isinstance(definition, dict):
            raise refusal(f"tools[{place}]", shown(tool), _TOOL)
        name = _name_in(definition)
        if name in names and (function is not None or name in functions):
            raise ValidationError(f"tools[{place}]: there are two tools named {name!r}", field="tools", value=name)
        if function is not None:
            functions[function.name] = function
        names.add(name)
        travelling.append(definition)
    return travelling, functions


def _is_definition(tool: Any) -> bool:
    return isinstance(tool, Mapping) or hasattr(tool, "to_dict") or attrs.has(type(tool))


def _name_in(definition: Mapping[str, Any]) -> str | None:
    function = definition.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None
