"""What the text of an answer holds: decides where the thinking ends, and what JSON of a model becomes.

Called by `ChatCompletionResult.parsed`, for the arguments of Python functions that a model calls, and where thinking is
not to be shown. The service wraps thinking in
`<think>…</think>` inside the content and nothing strips it (chat §2.4). It changes no answer.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, MutableSequence, Sequence
from datetime import date, datetime, time
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
from cattrs.errors import IterableValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn

from sogni.errors import ProtocolError
from sogni.models.base import Model
from sogni.models.converter import CONVERTER, findings

T = TypeVar("T")

_OPEN, _CLOSE = "<think>", "</think>"
_THOUGHT = re.compile(rf"{_OPEN}.*?(?:{_CLOSE}\s*|\Z)", re.DOTALL)
_FENCED = re.compile(r"\A```[a-z]*\n(.*?)\n?```\Z", re.DOTALL)


def without_thinking(text: str) -> str:
    """Return an answer without its thinking, also when it was cut off while thinking.

    >>> sogni.without_thinking("<think>Hm, 6 times 7.</think>42")
    '42'
    """
    return _THOUGHT.sub("", text)


class ThinkingFilter:
    """Takes the thinking out of a text that arrives in pieces; a tag may be split over several."""

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False
        self._fresh = False
        """Whether nothing but thinking came so far: the blanks after it belong to it."""

    def feed(self, piece: str) -> str:
        """What can be shown now of all that has come."""
        self._held += piece
        shown = ""
        while self._held:
            tag = _CLOSE if self._thinking else _OPEN
            before, found, after = self._held.partition(tag)
            if not found:
                keep = _begun(tag, before)
                self._held = before[len(before) - keep :]
                shown += self._visible(before[: len(before) - keep])
                break
            shown += self._visible(before)
            self._held, self._thinking = after, not self._thinking
            self._fresh = not self._thinking
        return shown

    def end(self) -> str:
        """What is left when nothing more comes."""
        held, self._held = self._held, ""
        return self._visible(held)

    def _visible(self, text: str) -> str:
        if self._thinking:
            return ""
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        return text


def _begun(tag: str, text: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)


def read_answer(kind: type[T], text: str) -> T:
    """The JSON of an answer as an instance of a class; ProtocolError names what does not fit and where."""
    plain = without_thinking(text).strip()
    fenced = _FENCED.match(plain)
    try:
        data = json.loads(fenced[1] if fenced else plain)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the answer is not JSON: {error}") from error
    answer: T = read_value(kind, data, f"the answer does not fit {getattr(kind, '__name__', str(kind))}")
    return answer


def read_value(kind: Any, data: Any, otherwise: str) -> Any:
    """JSON of a model as an instance of a type; ProtocolError names what does not fit and where, after `otherwise`."""
    try:
        return _ANSWERS.structure(data, kind)
    except Exception as error:  # cattrs raises groups of whatever the hooks raise
        raise ProtocolError(f"{otherwise}: {'; '.join(findings(error))}") from error


def can_be_read(kind: Any) -> bool:
    """Whether JSON can become an instance of a type."""
    try:
        _ANSWERS.get_structure_hook(kind)
    except Exception:  # cattrs raises what it likes for a type it has no hook for
        return False
    return True


def _parsed(kind: Any, parse: Any) -> None:
    def structured(value: Any, _: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError(f"expected a {kind.__name__}, got {value!r}")
        return parse(value)

    _ANSWERS.register_structure_hook(kind, structured)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _one_of(value: Any, kind: Any) -> Any:
    """The first member of a union that fits."""
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


def _items(value: Any, kind: Any) -> Any:
    """Not the converter's own way, which takes a text for a list of its letters."""
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r}")
    item = (get_args(kind) or (Any,))[0]
    made: list[Any] = []
    failed: list[Exception] = []
    for place, it in enumerate(value):
        try:
            made.append(_ANSWERS.structure(it, item))
        except Exception as error:
            error.add_note(IterableValidationNote(f"item {place}", place, item))
            failed.append(error)
    if failed:
        raise IterableValidationError("some items do not fit", failed, kind)
    return _ITERABLES[get_origin(kind) or kind](made)


def _is_own_class(kind: Any) -> bool:
    """An attrs class or a dataclass of the user."""
    own = isinstance(kind, type) and not issubclass(kind, Model)
    return own and (attrs.has(kind) or dataclasses.is_dataclass(kind))


def _object_of(kind: Any) -> Any:
    """What reads a class of the user; names in its annotations, its own too, become types first."""
    if attrs.has(kind):
        attrs.resolve_types(kind, include_extras=True)
    else:
        hints = get_type_hints(kind, include_extras=True)
        for member in dataclasses.fields(kind):
            member.type = hints[member.name]
    structured = make_dict_structure_fn(kind, _ANSWERS)

    def read_object(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected an object, got {value!r}")
        return structured(value, kind)

    return read_object


_ANSWERS = CONVERTER.copy()
_ANSWERS.register_structure_hook_factory(_is_own_class, _object_of)
_ANSWERS.register_structure_hook_func(_is_iterable, _items)
_ANSWERS.register_structure_hook_func(_is_union, _one_of)
_parsed(datetime, datetime.fromisoformat)
_parsed(date, date.fromisoformat)
_parsed(time, time.fromisoformat)
_parsed(UUID, UUID)
