"""Python functions that are offered to a language model as tools.

The annotations and the docstring of a function become the definition that the model reads, and the arguments of a call
are converted to the annotated types. Nothing here calls a function.
"""

# Tool definitions: chat §2.6.

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from attrs import field, frozen

from sogni.core.checks import did_you_mean, invalid_value, short_repr, string_or_none
from sogni.core.tools.schemas import Member, object_schema, resolved_hints
from sogni.errors import ProtocolError, ValidationError
from sogni.models.answers import can_be_read, read_value
from sogni.models.converter import is_pydantic_model, to_dict
from sogni.models.tools import ToolCall

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOOL = "a tool in the OpenAI form, or a Python function"
_KEYWORD_HEADING = re.compile(r"^(?:Keyword Arg(?:ument)?s|Other Parameters):$", re.MULTILINE)
"""Headings of the Google style that docstring_parser does not know."""


@frozen
class FunctionDocs:
    """The description in a docstring, and those of the parameters that it mentions."""

    description: str = ""
    parameters: Mapping[str, str] = field(factory=dict)


def read_docstring(text: str | None) -> FunctionDocs:
    """Parse a docstring in the style of Google, NumPy or reST; one of another style is all description."""
    # Imported here, because constructing a client imports this module.
    import docstring_parser

    text = _KEYWORD_HEADING.sub("Params:", inspect.cleandoc(text or ""))
    try:
        parsed = docstring_parser.parse(text)
    except (docstring_parser.ParseError, IndexError):  # IndexError: a line of reST that begins with a lone colon
        parsed = docstring_parser.Docstring()
        parsed.long_description = text
    paragraphs = re.split(r"\n\s*\n", parsed.description or "")
    return FunctionDocs(
        "\n\n".join(filter(None, map(_one_line, paragraphs))),
        {
            name.strip().lstrip("*"): _one_line(parameter.description)
            for parameter in parsed.params
            for name in parameter.arg_name.split(",")
            if parameter.description
        },
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


@frozen
class FunctionTool:
    """A function that a model may call; `definition` is what the model reads."""

    name: str
    function: Callable[..., Any] = field(repr=False)
    definition: dict[str, Any] = field(repr=False)
    kinds: Mapping[str, Any] = field(repr=False)
    required: frozenset[str] = frozenset()

    def arguments(self, call: ToolCall) -> dict[str, Any]:
        """Return the arguments of a call, converted to the annotated types.

        Raises ValidationError, worded for the model, if the arguments are not a JSON object, or if one is unknown,
        missing or of the wrong type.
        """
        given = self._given(call)
        for name in given:
            if name not in self.kinds:
                sentence = f"{self.name} has no argument {name!r}{did_you_mean(name, self.kinds)}"
                raise invalid_value(name, None, tuple(self.kinds), sentence)
        arguments = {}
        for name, kind in self.kinds.items():
            if name not in given:
                if name in self.required:
                    raise invalid_value(name, None, "a value", f"{self.name}: the argument {name!r} is required")
                continue
            if given[name] is None and name not in self.required and not _takes_none(kind):
                continue  # models write null for an omitted argument
            try:
                arguments[name] = read_value(kind, given[name], f"{self.name}: the argument {name!r} is invalid")
            except ProtocolError as error:
                raise invalid_value(name, short_repr(given[name]), str(kind), str(error)) from error
        return arguments

    def _given(self, call: ToolCall) -> dict[str, Any]:
        try:
            given = json.loads(call.function.arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise invalid_value(
                "arguments", None, "JSON", f"{self.name}: the arguments are not valid JSON ({error})"
            ) from error
        if not isinstance(given, dict):
            raise invalid_value(
                "arguments", short_repr(given), "a JSON object", f"{self.name}: the arguments are not a JSON object"
            )
        return given


def function_tool(function: Callable[..., Any]) -> FunctionTool:
    """Return the tool for a function. Raises ValidationError if a name or type cannot be described to a model."""
    target = function.func if isinstance(function, functools.partial) else function
    name = getattr(target, "__name__", type(target).__name__)
    if not _NAME.fullmatch(name):
        sentence = f"tools: a tool name must consist of letters, digits, _ and -, got {name!r}; define it with def"
        raise invalid_value("tools", name, "a named function", sentence)
    hints = resolved_hints(target if inspect.isroutine(target) else type(target).__call__, name)
    docs = read_docstring(getattr(target, "__doc__", None))
    members = [_member(name, parameter, hints, docs.parameters) for parameter in _parameters(function, name)]
    schema = object_schema(name, members)
    definition: dict[str, Any] = {"name": name, "parameters": schema}
    if docs.description:
        definition["description"] = docs.description
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
        raise invalid_value("tools", name, "a function with a signature", f"tools: {name} has no signature") from error
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            sentence = f"tools: {name} has the parameter {parameter}, which a model cannot pass; use named parameters"
            raise invalid_value("tools", str(parameter), "arguments with names", sentence)
    return parameters


def _member(name: str, parameter: inspect.Parameter, hints: Mapping[str, Any], docs: Mapping[str, str]) -> Member:
    kind = hints.get(parameter.name, Any)
    if not can_be_read(kind):
        where = f"{name}.{parameter.name}"
        raise invalid_value(
            "tools", where, "types that JSON can represent", f"{where}: {kind} cannot be parsed from JSON"
        )
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    return Member(parameter.name, kind, required, docs.get(parameter.name), default)


def _takes_none(kind: Any) -> bool:
    try:
        read_value(kind, None, "")
    except ProtocolError:
        return False
    return True


def tools_given(tools: Any) -> tuple[list[Any] | None, dict[str, FunctionTool]]:
    """Return the definitions to send, and the Python functions among the tools by name.

    Raises ValidationError for anything that is neither a definition nor a function, and for duplicate names.
    """
    if tools is None:
        return None, {}
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Iterable):
        raise invalid_value("tools", type(tools).__name__, f"a list, each entry {_TOOL}")
    definitions: list[Any] = []
    functions: dict[str, FunctionTool] = {}
    names: set[str | None] = set()
    for index, tool in enumerate(tools):
        function = function_tool(tool) if callable(tool) else None
        definition = function.definition if function else to_dict(tool) if _is_definition(tool) else None
        if not isinstance(definition, dict):
            raise invalid_value(f"tools[{index}]", short_repr(tool), _TOOL)
        name = _name_in(definition)
        if name in names and (function is not None or name in functions):
            raise ValidationError(f"tools[{index}]: duplicate tool name {name!r}", field="tools", value=name)
        if function is not None:
            functions[function.name] = function
        names.add(name)
        definitions.append(definition)
    return definitions, functions


def _is_definition(tool: Any) -> bool:
    return (
        isinstance(tool, Mapping) or hasattr(tool, "to_dict") or attrs.has(type(tool)) or is_pydantic_model(type(tool))
    )


def _name_in(definition: Mapping[str, Any]) -> str | None:
    function = definition.get("function")
    return string_or_none(function.get("name")) if isinstance(function, Mapping) else None
