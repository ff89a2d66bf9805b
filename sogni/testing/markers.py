"""The marker ``sogni``: options and faults of the emulator, and the requests that it may receive."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from attrs import field, frozen

from sogni.core.checks import did_you_mean
from sogni.emulator import LocalSupernet
from sogni.emulator.assertions import Expected, missing, surprises, violations_message
from sogni.emulator.faults import FAULTS, Rule
from sogni.testing import Fault

_OWN = ("faults", "expect", "strict", "step_time")
_OPTIONS = [
    *_OWN,
    *(name for name in inspect.signature(LocalSupernet.__init__).parameters if name not in ("self", *_OWN)),
]


class MarkerError(ValueError):
    """A marker requests something that does not exist."""


@frozen
class Request:
    """The settings in the markers of a test.

    Attributes:
        options: Options of `LocalSupernet`.
        faults: The faults, the outermost marker's first.
        expect: Requests that must arrive, with no others that change or cost anything; None to allow all.
        strict: Whether violations of the protocol and unused faults fail the test.
    """

    options: Mapping[str, Any]
    faults: Sequence[Fault] = ()
    expect: Sequence[Expected] | None = None
    strict: bool = False
    added: list[tuple[Fault, Rule]] = field(factory=list)

    @classmethod
    def of(cls, markers: Iterable[pytest.Mark], *, strict: bool) -> Request:
        """Read the markers of a test, the closest first.

        Raises:
            MarkerError: An option or a fault is unknown or invalid. The message suggests the closest one.
        """
        options: dict[str, Any] = {}
        faults: list[Fault] = []
        for marker in reversed(list(markers)):
            if marker.args:
                raise MarkerError(f"takes keywords only, got {marker.args[0]!r}")
            for name, value in marker.kwargs.items():
                if name not in _OPTIONS:
                    raise MarkerError(f"unknown option {_unknown(name, _OPTIONS)}")
                if name == "faults":
                    faults += _faults(value)
                else:
                    options[name] = value
        if "clock" not in options:
            options.setdefault("step_time", 0)
        expect, strict = options.pop("expect", None), options.pop("strict", strict)
        if not isinstance(strict, bool):
            raise MarkerError(f"strict must be True or False, got {strict!r}")
        return cls(options, faults, None if expect is None else _expected(expect), strict)

    def prepare(self, supernet: LocalSupernet) -> None:
        """Add the faults."""
        for fault in self.faults:
            rule: Rule = getattr(supernet.faults, fault.name)(*fault.args, **fault.fields)
            self.added.append((fault, rule))

    def problem(self, supernet: LocalSupernet) -> str | None:
        """Return why a test that has passed so far must fail; None if it passes."""
        found: list[str | None] = []
        if self.expect is not None:
            expect = self.expect
            _wait(supernet, expect)
            found.append(surprises(expect, supernet.requests))
        if self.strict:
            found.append(violations_message(supernet.violations))
            found += [f"the fault {fault} was never used" for fault, rule in self.added if not rule.fired]
        return "\n".join(message for message in found if message) or None


def _wait(supernet: LocalSupernet, expect: Sequence[Expected]) -> None:
    try:
        supernet.wait_for(lambda: not missing(expect, supernet.requests), timeout=5)
    except TimeoutError:
        return


def _unknown(name: str, known: Iterable[str]) -> str:
    return repr(name) + (did_you_mean(name, known, 1) or f"; there are {', '.join(known)}")


def _faults(entries: object) -> list[Fault]:
    if isinstance(entries, str | Mapping) or not isinstance(entries, Sequence):
        raise MarkerError(f"faults must be a list, got {entries!r}")
    return [_fault(entry) for entry in entries]


def _fault(entry: object) -> Fault:
    """Read an entry and check its values in the same way as the method of the plan."""
    if isinstance(entry, str):
        entry = Fault(entry)
    elif isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
        fields = dict(entry)
        entry = Fault(fields.pop("name"), (), fields)
    if not isinstance(entry, Fault):
        raise MarkerError(f"a fault must be made with sogni.testing.fault, or be its name, got {entry!r}")
    if entry.name not in FAULTS:
        raise MarkerError(f"unknown fault {_unknown(entry.name, FAULTS)}")
    try:
        FAULTS[entry.name](*entry.args, **entry.fields)
    except (TypeError, ValueError) as error:
        raise MarkerError(f"{entry}: {error}") from None
    return entry


def _expected(entries: object) -> list[Expected]:
    if isinstance(entries, str | Mapping) or not isinstance(entries, Sequence):
        raise MarkerError(f"expect must be a list, got {entries!r}")
    try:
        return [Expected.of(entry) for entry in entries]
    except (TypeError, ValueError) as error:
        raise MarkerError(f"expect: {error}") from None
