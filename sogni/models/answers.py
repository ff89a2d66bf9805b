"""Parsing the output of language models: removing thinking, and converting JSON to Python types.

Used for `ChatCompletionResult.parsed` and for the arguments of Python functions that a model calls.
"""

# The service leaves thinking in the content, between `<think>` and `</think>`: chat §2.4.

from __future__ import annotations

import dataclasses
import json
import re
import reprlib
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from datetime import date, datetime, time
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn

from sogni.errors import ProtocolError
from sogni.models.base import Model
from sogni.models.converter import CONVERTER, constraint_adapter, findings, is_pydantic_model

T = TypeVar("T")

_OPEN, _CLOSE = "<think>", "</think>"
_THINKING = re.compile(rf"{_OPEN}.*?(?:{_CLOSE}\s*|\Z)", re.DOTALL)
_FENCED = re.compile(r"\A```[a-z]*\n(.*?)\n?```\Z", re.DOTALL)


def without_thinking(text: str) -> str:
    """Remove the thinking from an answer, even if the answer was cut off while thinking.

    Args:
        text: Text of an answer.

    Returns:
        The text without thinking.

    Example:
        >>> sogni.without_thinking("<think>Hm, 6 times 7.</think>42")
        '42'
    """
    return _THINKING.sub("", text)


class ThinkingSplitter:
    """Separates thinking from answer in text that arrives in chunks; a tag may be split between them.

    Whitespace after the thinking is dropped, and so is that at both ends of all thinking together.
    """

    def __init__(self) -> None:
        self._buffer = ""
        """The start of a possible tag."""
        self._space = ""
        """Whitespace at the end of the thinking so far."""
        self._thinking = False
        self._has_thought = False
        self._after_thinking = False

    def feed(self, piece: str) -> tuple[str, str]:
        """Add a chunk, and return the text of the answer and of the thinking that is complete now."""
        if not (self._buffer or self._thinking or self._after_thinking or "<" in piece):
            return piece, ""
        self._buffer += piece
        answer = thinking = ""
        while self._buffer:
            tag = _CLOSE if self._thinking else _OPEN
            before, found, after = self._buffer.partition(tag)
            end = len(before) if found else len(before) - _partial_tag(tag, before)
            if self._thinking:
                thinking += self._thought(before[:end])
            else:
                answer += self._answered(before[:end])
            if not found:
                self._buffer = before[end:]
                break
            self._buffer, self._thinking = after, not self._thinking
            self._after_thinking = not self._thinking
        return answer, thinking

    def end(self) -> tuple[str, str]:
        """Return the text that was held back."""
        rest, self._buffer = self._buffer, ""
        return ("", self._thought(rest)) if self._thinking else (self._answered(rest), "")

    def _thought(self, text: str) -> str:
        text = self._space + text
        thought = text.rstrip()
        self._space = text[len(thought) :]
        if not self._has_thought:
            thought = thought.lstrip()
            self._has_thought = bool(thought)
        return thought

    def _answered(self, text: str) -> str:
        if self._after_thinking:
            text = text.lstrip()
            self._after_thinking = not text
        return text


def split_thinking(text: str) -> tuple[str, str]:
    """Return an answer without its thinking, and the thinking."""
    splitter = ThinkingSplitter()
    (answer, thinking), (rest, thought) = splitter.feed(text), splitter.end()
    return answer + rest, thinking + thought


class ThinkingFilter:
    """Removes the thinking from text that arrives in chunks; a tag may be split between them.

    Example:
        >>> from sogni import ThinkingFilter
        >>> thinking = ThinkingFilter()
        >>> [thinking.feed(chunk) for chunk in ("<think>Hm, 6 ti", "mes 7.</th", "ink>4", "2")] + [thinking.end()]
        ['', '', '4', '2', '']
    """

    def __init__(self) -> None:
        self._splitter = ThinkingSplitter()

    def feed(self, piece: str) -> str:
        """Add a chunk.

        Args:
            piece: The chunk.

        Returns:
            The text that can be displayed now. The start of a possible tag is held back.
        """
        return self._splitter.feed(piece)[0]

    def end(self) -> str:
        """End the stream.

        Returns:
            The text that was held back.
        """
        return self._splitter.end()[0]


def _partial_tag(tag: str, text: str) -> int:
    """Return how many characters at the end of a string may be the start of a tag."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)


def read_answer(kind: type[T], text: str) -> T:
    """Return the JSON of an answer as an instance of a class. Raises `ProtocolError` with the path of a mismatch."""
    plain = without_thinking(text).strip()
    fenced = _FENCED.match(plain)
    try:
        data = json.loads(fenced[1] if fenced else plain)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the answer is not JSON: {error}") from error
    answer: T = read_value(kind, data, f"the answer does not fit {getattr(kind, '__name__', str(kind))}")
    return answer


def read_value(kind: Any, data: Any, message: str) -> Any:
    """Return JSON data as an instance of a type. Raises `ProtocolError` with `message` and the path of a mismatch."""
    try:
        return _ANSWERS.structure(data, kind)
    except Exception as error:  # cattrs raises groups of whatever the hooks raise
        raise ProtocolError(f"{message}: {'; '.join(findings(error))}") from error


def can_be_read(kind: Any) -> bool:
    """Whether `read_value` supports a type."""
    try:
        _ANSWERS.get_structure_hook(kind)
    except Exception:  # cattrs documents no exception for a type without a hook
        return False
    return True


def _register_parser(kind: Any, parse: Any) -> None:
    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"expected a {kind.__name__}, got {value!r}")
        return parse(value)

    _ANSWERS.register_structure_hook(kind, structure)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _structure_union(value: Any, kind: Any) -> Any:
    """Return a value as the first member of a union that fits."""
    members = [member for member in get_args(kind) if member is not type(None)]
    if value is None and len(members) < len(get_args(kind)):
        return None
    if len(members) == 1:
        return _ANSWERS.structure(value, members[0])
    for member in members:
        try:
            return _ANSWERS.structure(value, member)
        except Exception:
            continue
    raise TypeError(f"expected one of {', '.join(getattr(m, '__name__', str(m)) for m in members)}, got {value!r}")


_ITERABLES = {list: list, Sequence: list, MutableSequence: list, set: set, frozenset: frozenset, tuple: tuple}


def _is_iterable(kind: Any) -> bool:
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin is tuple:
        return len(arguments) != 1 and arguments[1:] == (...,)
    return origin in _ITERABLES if isinstance(origin, type) else False


def _structure_items(value: Any, kind: Any) -> Any:
    # cattrs would read a string as a list of its characters.
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r}")
    item_type = (get_args(kind) or (Any,))[0]
    items: list[Any] = []
    errors: list[Exception] = []
    for index, item in enumerate(value):
        try:
            items.append(_ANSWERS.structure(item, item_type))
        except Exception as error:
            error.add_note(IterableValidationNote(f"item {index}", index, item_type))
            errors.append(error)
    if errors:
        raise IterableValidationError("some items do not fit", errors, kind)
    return _ITERABLES[get_origin(kind) or kind](items)


def _is_user_class(kind: Any) -> bool:
    """Whether a type is an attrs class or a dataclass of the user."""
    foreign = isinstance(kind, type) and not issubclass(kind, Model)
    return foreign and (attrs.has(kind) or dataclasses.is_dataclass(kind))


def _user_class_hook(kind: Any) -> Any:
    """Return the hook for a class of the user, after resolving the names in its annotations."""
    if attrs.has(kind):
        attrs.resolve_types(kind, include_extras=True)
    else:
        hints = get_type_hints(kind, include_extras=True)
        for member in dataclasses.fields(kind):
            member.type = hints[member.name]
    structure_fields = make_dict_structure_fn(kind, _ANSWERS)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected an object, got {value!r}")
        return structure_fields(value, kind)

    return structure


def _pydantic_hook(kind: Any) -> Any:
    """Return the hook for a pydantic model, whose own rules apply: aliases, constraints, strictness, validators."""
    # As JSON, because a strict model accepts a string for a date, or a list for a set, in JSON only.
    return lambda value, _: _validated(kind.model_validate_json, json.dumps(value), kind)


def _constrained_hook(kind: Any) -> Any:
    """Return the hook for an annotation with constraints of pydantic, which apply to the value of its type."""
    validate, plain = constraint_adapter(kind).validate_python, get_args(kind)[0]
    return lambda value, _: _validated(validate, _ANSWERS.structure(value, plain), kind)


def _validated(validate: Callable[[Any], Any], value: Any, kind: Any) -> Any:
    try:
        return validate(value)
    except Exception as error:
        if not hasattr(error, "errors"):
            raise  # from a validator of the user
        found = [_pydantic_finding(it) for it in error.errors(include_url=False, include_context=False)]
    raise ClassValidationError("some fields do not fit", found, kind)


def _pydantic_finding(found: Mapping[str, Any]) -> Exception:
    """Return one of the errors of pydantic, with a note that has its path."""
    if found["type"] == "missing":
        error: Exception = KeyError(found["loc"][-1])
    else:
        error = ValueError(f"{found['msg']}, got {reprlib.repr(found['input'])}")
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"])
    if path:
        error.add_note(AttributeValidationNote(path, path.removeprefix("."), Any))
    return error


_ANSWERS = CONVERTER.copy()
_ANSWERS.register_structure_hook_factory(_is_user_class, _user_class_hook)
_ANSWERS.register_structure_hook_factory(is_pydantic_model, _pydantic_hook)
_ANSWERS.register_structure_hook_factory(constraint_adapter, _constrained_hook)
_ANSWERS.register_structure_hook_func(_is_iterable, _structure_items)
_ANSWERS.register_structure_hook_func(_is_union, _structure_union)
_register_parser(datetime, datetime.fromisoformat)
_register_parser(date, date.fromisoformat)
_register_parser(time, time.fromisoformat)
_register_parser(UUID, UUID)
