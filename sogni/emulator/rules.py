"""Plans of rules, which tests write from any thread and the server consults: `Faults` and `ChatScript`."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Generic, TypeVar

from attrs import define, field

from sogni.emulator.declarations import COUNT, declared


@define(eq=False)
class BaseRule:
    """Base class of all rules; ``fired`` counts the uses so far. Its values are checked against their hints."""

    times: Annotated[int, COUNT] | None = field(default=1, kw_only=True)
    fired: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        kind: Any = type(self)
        for name, parameter in declared(kind).parameters.items():
            parameter.check(getattr(self, name))

    @property
    def spent(self) -> bool:
        """True once the rule has been used ``times`` times."""
        return self.times is not None and self.fired >= self.times

    def fits(self, *args: Any, **facts: Any) -> bool:
        """Return whether the rule applies to what the server is about to do."""
        return True


R = TypeVar("R", bound=BaseRule)
Rule = TypeVar("Rule", bound=BaseRule)


class RulePlan(Generic[Rule]):
    """Rules in the order in which they were added. Used-up rules are remembered until the plan is cleared."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Any] = []
        self._added: list[Any] = []

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()
            self._added.clear()

    @property
    def pending(self) -> tuple[Rule, ...]:
        """The rules that have not been used up."""
        with self._lock:
            return tuple(rule for rule in self._rules if not rule.spent)

    @property
    def added(self) -> tuple[Rule, ...]:
        """Every rule since the last `clear`, used up or not, oldest first."""
        with self._lock:
            return tuple(self._added)

    def _add(self, rule: R) -> R:
        with self._lock:
            self._rules.append(rule)
            self._added.append(rule)
        return rule

    def take(self, kind: type[R], *args: Any, **facts: Any) -> R | None:
        """Use the first rule of a kind that applies. Called by the server.

        Args:
            kind: Class of the rule.
            *args: What the server is about to do, as `fits` of the class takes it.
            **facts: The same, by keyword.

        Returns:
            The rule; None if there is none.
        """
        with self._lock:
            for rule in self._live(kind):
                if rule.fits(*args, **facts):
                    rule.fired += 1
                    return rule
        return None

    def _live(self, kind: type[R]) -> list[R]:
        if not self._rules:
            return []
        self._rules = [rule for rule in self._rules if not rule.spent]
        return [rule for rule in self._rules if isinstance(rule, kind)]
