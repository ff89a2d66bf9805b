"""What a docstring says of a function and its parameters, in the styles of Google, NumPy and reST.

Called for functions that are offered to a language model as tools. What it does not recognize is part of the
description; it never fails.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
from attrs import field, frozen

from sogni.core.checks import did_you_mean, invalid_value, short_repr
from sogni.core.tools.schemas import Member, object_schema, resolved_hints
from sogni.errors import ProtocolError, ValidationError
from sogni.models.answers import can_be_read, read_value
from sogni.models.converter import to_dict
from sogni.models.tools import ToolCall

_SECTIONS = (
    "args", "arguments", "parameters", "params", "other parameters", "keyword args", "keyword arguments", "returns",
    "return", "raises", "yields", "yield", "examples", "example", "notes", "note", "see also", "references",
    "warnings", "warning", "attributes", "todo",
)  # fmt: skip
_OF_PARAMETERS = (
    "args", "arguments", "parameters", "params", "other parameters", "keyword args", "keyword arguments",
)  # fmt: skip
_GOOGLE_HEAD = re.compile(r"([A-Z][A-Za-z ]+):\s*")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?\s*:\s*(.*)")
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
_FIELD = re.compile(r":(\w+)(?:\s+([^:]*))?:\s*(.*)")


@frozen
class Told:
    """What a docstring tells: the description, and a text for each parameter it names."""

    description: str = ""
    parameters: Mapping[str, str] = field(factory=dict)


def read_docstring(text: str | None) -> Told:
    """Take a docstring apart; the description is what stands before the first section."""
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    parameters: dict[str, str] = {}
    place = 0
    while place < len(lines):
        section, skip = _heading(lines, place)
        if section is not None:
            end = _end_of_section(lines, place + skip, numpy=skip == 2)
            if section in _OF_PARAMETERS:
                body = lines[place + skip : end]
                parameters |= dict(_numpy(body) if skip == 2 else _google(body))
            place = end
        elif match := _FIELD.fullmatch(lines[place]):
            end = _end_of_field(lines, place + 1)
            words = (match[2] or "").split()
            if match[1] in ("param", "parameter", "arg", "argument", "key", "keyword") and words:
                parameters[words[-1].lstrip("*")] = _joined([match[3], *lines[place + 1 : end]])
            place = end
        else:
            description.append(lines[place])
            place += 1
    return Told(_paragraphs(description), {name: words for name, words in parameters.items() if words})


def _heading(lines: list[str], place: int) -> tuple[str | None, int]:
    """The section that begins at a line, and how many lines its heading has; None where none begins."""
    line, following = lines[place], lines[place + 1] if place + 1 < len(lines) else ""
    name = line.strip().lower()
    if name in _SECTIONS and following.strip() and not following.strip("- ="):
        return name, 2
    match = _GOOGLE_HEAD.fullmatch(line)
    if match and match[1].lower() in _SECTIONS and (not following.strip() or following[:1].isspace()):
        return match[1].lower(), 1
    return None, 0


def _end_of_section(lines: list[str], place: int, *, numpy: bool) -> int:
    """Where a section ends: at the next one; Google's also where its indentation does."""
    while place < len(lines):
        line = lines[place]
        if _heading(lines, place)[0] is not None or _FIELD.fullmatch(line):
            return place
        if not numpy and line.strip() and not line[0].isspace():
            return place
        place += 1
    return place


def _end_of_field(lines: list[str], place: int) -> int:
    """Where a field ends: with its indented lines."""
    while place < len(lines) and lines[place][:1].isspace():
        place += 1
    return place


def _google(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Entries at the least indentation; deeper lines go on with the one above."""
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    name, words = "", [""]
    for line in lines:
        match = _GOOGLE_ENTRY.fullmatch(line[depth:]) if line[:depth].isspace() and line.strip() else None
        if match and not line[depth : depth + 1].isspace():
            yield name, _joined(words)
            name, words = match[1], [match[2]]
        else:
            words.append(line)
    yield name, _joined(words)


def _numpy(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Entries without indentation; one line may name several parameters."""
    names: list[str] = []
    words: list[str] = []
    for line in lines:
        match = _NUMPY_ENTRY.fullmatch(line)
        if match and line.strip() and not line[0].isspace():
            yield from ((name, _joined(words)) for name in names)
            names, words = [name.strip().lstrip("*") for name in match[1].split(",")], []
        else:
            words.append(line)
    yield from ((name, _joined(words)) for name in names)


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def _paragraphs(lines: list[str]) -> str:
    """Paragraphs in one line each."""
    texts = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(_joined(text.splitlines()) for text in texts if text.strip())


# Python functions as tools: decides what a model is told of a function, and what its call means (chat §2.6).
#
# Called before a completion is sent and when a model calls. What the annotations and the docstring say is what the
# model
# reads; arguments arrive at the function as the annotated types. It calls nothing.


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
                raise invalid_value(name, None, tuple(self.kinds), sentence)
        made = {}
        for name, kind in self.kinds.items():
            if name not in given:
                if name in self.required:
                    raise invalid_value(name, None, "a value", f"{self.name}: the argument {name!r} is required")
                continue
            if given[name] is None and name not in self.required and not _takes_none(kind):
                continue  # null for "not given", as models write it
            try:
                made[name] = read_value(kind, given[name], f"{self.name}: the argument {name!r} does not fit")
            except ProtocolError as error:
                raise invalid_value(name, short_repr(given[name]), str(kind), str(error)) from error
        return made

    def _given(self, call: ToolCall) -> dict[str, Any]:
        try:
            given = json.loads(call.function.arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise invalid_value(
                "arguments", None, "JSON", f"{self.name}: the arguments are no valid JSON ({error})"
            ) from error
        if not isinstance(given, dict):
            raise invalid_value(
                "arguments", short_repr(given), "a JSON object", f"{self.name}: the arguments are no JSON object"
            )
        return given


def function_tool(function: Callable[..., Any]) -> FunctionTool:
    """What a model is told of a function: name, description, parameters. ValidationError for what it cannot be told."""
    target = function.func if isinstance(function, functools.partial) else function
    name = getattr(target, "__name__", type(target).__name__)
    if not _NAME.fullmatch(name):
        sentence = f"tools: a tool needs a name of letters, digits, _ and -, not {name!r}; give it one with def"
        raise invalid_value("tools", name, "a named function", sentence)
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
        raise invalid_value("tools", name, "a function with a signature", f"tools: {name} has no signature") from error
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            sentence = f"tools: {name} takes {parameter}, which a model cannot name; give its arguments names"
            raise invalid_value("tools", str(parameter), "arguments with names", sentence)
    return parameters


def _member(name: str, parameter: inspect.Parameter, hints: Mapping[str, Any], told: Mapping[str, str]) -> Member:
    kind = hints.get(parameter.name, Any)
    if not can_be_read(kind):
        where = f"{name}.{parameter.name}"
        raise invalid_value("tools", where, "types that JSON can carry", f"{where}: nothing can make {kind} of JSON")
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


def tools_given(tools: Any) -> tuple[list[Any] | None, dict[str, FunctionTool]]:
    """Tools as they travel, and the Python functions among them by name.

    ValidationError for what is neither a definition nor a function, and for two tools of one name.
    """
    if tools is None:
        return None, {}
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Iterable):
        raise invalid_value("tools", type(tools).__name__, f"a list, each entry {_TOOL}")
    travelling: list[Any] = []
    functions: dict[str, FunctionTool] = {}
    names: set[str | None] = set()
    for place, tool in enumerate(tools):
        function = function_tool(tool) if callable(tool) else None
        definition = function.definition if function else to_dict(tool) if _is_definition(tool) else None
        if not isinstance(definition, dict):
            raise invalid_value(f"tools[{place}]", short_repr(tool), _TOOL)
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
