"""Assertions on what has arrived, and messages that show the nearest request and the fields that differ.

A request is named by the type of its frame (``jobRequest``), or by the method and path of its HTTP request (``POST
/v1/chat/completions``; ``*`` stands for anything). Fields are looked up at any depth, because the frames of the
protocol nest what belongs together. Their names may be written as on the wire or in snake case.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from attrs import define, field

from sogni.core.checks import did_you_mean
from sogni.emulator.recorder import Arrival, RecordedFrame, RecordedUpgrade, Violation

FRAME_TYPES = ("jobRequest", "jobError", "llmJobRequest", "changeNetwork", "setSocketEventSubscriptions")
"""The frames that clients send."""
UPGRADE = "upgrade"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ACTIONS = ("jobRequest", "jobError", "llmJobRequest")
_READING = ("GET", "HEAD", "OPTIONS")
_AUXILIARY = ("/storage/*", "/v1/account/*", "/v1/assets", "/v1/assets/*")
"""Requests that change nothing by themselves: uploads, and signing in."""
_MOST_LISTED = 20
_MOST_SHOWN = 4
_TELLING = ("modelID", "model", "positivePrompt", "messages", "numberOfImages")
_LONG = 60
_WIDTH = 120


@define
class Expected:
    """A request that is expected: its name, its fields, and how often it arrives (None: at least once)."""

    what: str
    fields: Mapping[str, Any] = field(factory=dict)
    times: int | None = None

    def __attrs_post_init__(self) -> None:
        _check_name(self.what)
        if self.times is not None and (isinstance(self.times, bool) or not isinstance(self.times, int)):
            raise TypeError(f"times must be an integer, got {self.times!r}")
        if self.times is not None and self.times < 0:
            raise ValueError(f"times must not be negative, got {self.times}; use assert_not_requested")

    @classmethod
    def of(cls, entry: object) -> Expected:
        """Read an entry of a list: a name, or a name and its fields; ``times`` is among them."""
        if isinstance(entry, cls):
            return entry
        if isinstance(entry, str):
            return cls(entry)
        if isinstance(entry, Sequence) and len(entry) == 2 and isinstance(entry[1], Mapping):
            fields = dict(entry[1])
            return cls(entry[0], fields, fields.pop("times", None))
        raise TypeError(f"an expected request must be a name or a pair of a name and its fields, got {entry!r}")

    def named(self, arrival: Arrival) -> bool:
        """Return whether a request has the name."""
        if isinstance(arrival, RecordedFrame):
            return arrival.type == self.what
        if isinstance(arrival, RecordedUpgrade):
            return self.what == UPGRADE
        method, _, path = self.what.rpartition(" ")
        return method in ("", arrival.method) and fnmatchcase(arrival.path, path)

    def matches(self, arrival: Arrival) -> bool:
        """Return whether a request has the name and all fields."""
        return self.named(arrival) and not self.differing(arrival)

    def matching(self, arrivals: Iterable[Arrival]) -> list[Arrival]:
        return [arrival for arrival in arrivals if self.matches(arrival)]

    def differing(self, arrival: Arrival) -> list[str]:
        """Return the names of the fields that differ."""
        content = content_of(arrival)
        return [name for name, value in self.fields.items() if not any(_fits(value, it) for _, it in at(name, content))]

    def met_by(self, count: int) -> bool:
        return count > 0 if self.times is None else count == self.times

    def __str__(self) -> str:
        return " ".join([self.what, *(f"{name}={_short(value)}" for name, value in self.fields.items())])


def _check_name(what: object) -> None:
    if not isinstance(what, str):
        raise TypeError(f"a request is named by a string, got {what!r}")
    method, _, path = what.rpartition(" ")
    if path.startswith(("/", "*")) and method in ("", *_METHODS):
        return
    if what not in (*FRAME_TYPES, UPGRADE):
        known = (*FRAME_TYPES, UPGRADE)
        path_or_frame = f"; use a method and a path like 'POST /v1/chat/completions', or one of {', '.join(known)}"
        raise ValueError(f"unknown request {what!r}{did_you_mean(what, known, 1) or path_or_frame}")


# Fields


def content_of(arrival: Arrival) -> Any:
    """Return the fields of a request: its payload, or its query with its body."""
    if isinstance(arrival, RecordedFrame):
        return arrival.data
    if isinstance(arrival, RecordedUpgrade):
        return arrival.query
    return {**arrival.query, **arrival.body} if isinstance(arrival.body, Mapping) else dict(arrival.query)


def at(name: str, content: Any) -> list[tuple[str, Any]]:
    """Return the path and the value of every field with a name, the least nested first."""
    wanted, found = _plain(name), []
    level: list[tuple[str, Any]] = [("", content)]
    while level:
        deeper: list[tuple[str, Any]] = []
        for path, value in level:
            for key, inner, where in _children(path, value):
                if key is not None and _plain(key) == wanted:
                    found.append((where, inner))
                deeper.append((where, inner))
        level = deeper
    return found


def _children(path: str, value: Any) -> Iterator[tuple[str | None, Any, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key, inner, f"{path}.{key}" if path else str(key)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield None, inner, f"{path}[{index}]"


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _fits(expected: Any, actual: Any) -> bool:
    if isinstance(expected, re.Pattern):
        return isinstance(actual, str) and expected.search(actual) is not None
    if isinstance(expected, Mapping):
        return isinstance(actual, Mapping) and all(
            key in actual and _fits(value, actual[key]) for key, value in expected.items()
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(actual, list | tuple)
            and len(expected) == len(actual)
            and all(_fits(one, other) for one, other in zip(expected, actual, strict=True))
        )
    # Not `1 == True`: the service tells them apart.
    if isinstance(actual, bool) != isinstance(expected, bool) and isinstance(expected, bool | int | float):
        return False
    return bool(expected == actual)


# Messages


def missing(expected: Iterable[Expected], arrivals: Sequence[Arrival]) -> bool:
    """Return whether a request that is expected has not arrived yet, or not often enough."""
    return any(len(one.matching(arrivals)) < (1 if one.times is None else one.times) for one in expected)


def failure(expected: Expected, arrivals: Sequence[Arrival]) -> str | None:
    """Return the message if the expected requests have not arrived, or too often; None otherwise."""
    found = expected.matching(arrivals)
    if expected.met_by(len(found)):
        return None
    wanted = "at least 1 time" if expected.times is None else _times(expected.times)
    lines = [f"expected {wanted}, arrived {_times(len(found))}: {expected}"]
    if found:
        lines += [f"  {describe(arrival)}" for arrival in found[:_MOST_LISTED]]
    if not found or (expected.times or 0) > len(found):
        lines += _nearest(expected, [it for it in arrivals if not expected.matches(it)])
    return "\n".join(lines)


def unwanted(expected: Expected, arrivals: Sequence[Arrival]) -> str | None:
    """Return the message if a request has arrived that should not have; None otherwise."""
    found = expected.matching(arrivals)
    if not found:
        return None
    listed = [f"  {describe(arrival)}" for arrival in found[:_MOST_LISTED]]
    return "\n".join([f"expected not to arrive, but arrived {_times(len(found))}: {expected}", *listed])


def surprises(expected: Sequence[Expected], arrivals: Sequence[Arrival]) -> str | None:
    """Return the message if requests other than the expected ones have arrived; None otherwise.

    Requests that change nothing and cost nothing need not be expected.
    """
    lines: list[str] = []
    for arrival in filter(is_action, arrivals):
        if not any(one.matches(arrival) for one in expected):
            lines.append(f"nothing expected {describe(arrival)}")
            nearest = min(
                (one for one in expected if one.named(arrival)), key=lambda it: len(it.differing(arrival)), default=None
            )
            if nearest is not None:
                lines += _difference(nearest, arrival)
    lines += [message for one in expected if (message := failure(one, arrivals)) is not None]
    return "\n".join(lines) or None


def is_action(arrival: Arrival) -> bool:
    """Return whether a request changes something or costs something."""
    if isinstance(arrival, RecordedFrame):
        return arrival.type in _ACTIONS and not arrival.dropped
    if isinstance(arrival, RecordedUpgrade):
        return False
    return arrival.method not in _READING and not any(fnmatchcase(arrival.path, path) for path in _AUXILIARY)


def violations_message(violations: Sequence[Violation]) -> str | None:
    """Return the message about violations of the protocol; None without any."""
    if not violations:
        return None
    listed = [f"  {it.where}: {it.message}" for it in violations[:_MOST_LISTED]]
    return "\n".join([f"the emulator noticed {len(violations)} violation(s) of the protocol:", *listed])


def describe(arrival: Arrival) -> str:
    """Return one line about a request."""
    if isinstance(arrival, RecordedUpgrade):
        return f"{UPGRADE} → {arrival.status}"
    if isinstance(arrival, RecordedFrame):
        dropped = " (dropped)" if arrival.dropped else ""
        return _cut(f"{arrival.type}{_summary(arrival.data)}") + dropped
    status = "" if arrival.status is None else f" → {arrival.status}"
    return _cut(f"{arrival.method} {arrival.path}{_summary(content_of(arrival))}") + status


def listing(arrivals: Sequence[Arrival]) -> list[str]:
    """Return a line per request, the newest ones if there are many."""
    left_out = len(arrivals) - _MOST_LISTED
    head = [f"  … {left_out} earlier ones"] if left_out > 0 else []
    return head + [f"  {describe(arrival)}" for arrival in arrivals[-_MOST_LISTED:]]


def _nearest(expected: Expected, arrivals: Sequence[Arrival]) -> list[str]:
    named = [arrival for arrival in arrivals if expected.named(arrival)]
    if named:
        # Of equally near ones, the newest: it is probably what the test has just done.
        nearest = min(reversed(named), key=lambda it: _distance(expected, it))
        return [f"the nearest is {describe(nearest)}", *_difference(expected, nearest)]
    return ["this arrived:", *listing(arrivals)] if arrivals else ["nothing has arrived"]


def _distance(expected: Expected, arrival: Arrival) -> float:
    content, distance = content_of(arrival), 0.0
    for name in expected.differing(arrival):
        values = [repr(value) for _, value in at(name, content)]
        wanted = repr(expected.fields[name])
        distance += 2 - max((difflib.SequenceMatcher(None, wanted, it).ratio() for it in values), default=0.0)
    return distance


def _difference(expected: Expected, arrival: Arrival) -> list[str]:
    """Return the lines of the fields that differ: what was expected (-), and what arrived (+)."""
    content, lines = content_of(arrival), []
    for name in expected.differing(arrival):
        wanted, found = expected.fields[name], at(name, content)
        if not found:
            lines += [f"  - {name}: {_short(wanted)}", "  + no such field" + did_you_mean(name, _names(content), 1)]
        elif len(found) == 1 and _is_long(wanted) and isinstance(found[0][1], str):
            lines += [f"    {found[0][0]}:"]
            lines += [f"  {it}" for it in difflib.ndiff([repr(wanted)], [repr(found[0][1])]) if it.strip()]
        else:
            lines += [f"  - {name}: {_short(wanted)}"]
            lines += [f"  + {path}: {_short(value)}" for path, value in found[:_MOST_SHOWN]]
            lines += [f"  + … and {len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
    return [line.rstrip("\n") for line in lines]


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > _LONG // 2


def _names(content: Any) -> set[str]:
    names, level = set(), [content]
    while level:
        value = level.pop()
        for key, inner, _ in _children("", value):
            if isinstance(key, str):
                names.add(key)
            level.append(inner)
    return names


def _summary(content: Any) -> str:
    parts = []
    for name in _TELLING:
        found = at(name, content)
        if found and found[0][1] not in (None, "", []):
            parts.append(f" {name}={_short(found[0][1])}")
    return "".join(parts)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONG * 2 else f"{text[: _LONG * 2]}…"


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…"


def _times(count: int) -> str:
    return f"{count} time" if count == 1 else f"{count} times"
