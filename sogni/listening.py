"""Listening to events: `on`, `once` and `off`, the same for everything that emits them, in both packages.

Subclassed by clients, namespaces and handles, which say what events they have and where listeners are kept. It calls
no listener; the dispatchers of the shells do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar, overload

from .protocol.listeners import Listeners, check_event

F = TypeVar("F", bound=Callable[..., Any])
Remover = Callable[[], None]


class Listening(ABC):
    """`on`, `once` and `off`, the same for everything that emits events.

    Callbacks run in order, one at a time, on the client's own thread (asyncio: in the loop, where they
    may be coroutine functions). Their errors are logged and stop nothing.
    """

    __slots__ = ()
    _events: frozenset[str] = frozenset()

    @abstractmethod
    def _listeners(self) -> Listeners:
        """The registry behind this emitter."""

    def _listeners_of(self, event: str) -> Listeners:
        """The registry of one event, where an emitter has several."""
        return self._listeners()

    def _add(self, event: str, function: Callable[..., Any], *, once: bool) -> Remover:
        """Register a listener."""
        return self._listeners_of(event).add(event, function, once=once)

    def _heard(self) -> None:  # noqa: B027 - an emitter that always tells has nothing to note
        """Note that somebody listens to something of this client."""

    @overload
    def on(self, event: str, function: F) -> Remover: ...
    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    def on(self, event: str, function: Callable[..., Any] | None = None) -> Any:
        """Call `function` at every `event`; returns what removes it again.

        Without a function it is a decorator. ValueError names the events there are.
        """
        return self._register(event, function, once=False)

    @overload
    def once(self, event: str, function: F) -> Remover: ...
    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    def once(self, event: str, function: Callable[..., Any] | None = None) -> Any:
        """Call `function` at the next `event` only; returns what removes it. Also a decorator."""
        return self._register(event, function, once=True)

    def off(self, event: str, function: Callable[..., Any]) -> None:
        """Stop calling `function` at `event`; nothing happens when it was not registered."""
        check_event(event, self._events, type(self).__name__)
        self._listeners_of(event).remove(event, function)

    def _register(self, event: str, function: Callable[..., Any] | None, *, once: bool) -> Any:
        check_event(event, self._events, type(self).__name__)
        if function is not None:
            self._heard()
            return self._add(event, function, once=once)

        def decorate(decorated: F) -> F:
            self._register(event, decorated, once=once)
            return decorated

        return decorate
