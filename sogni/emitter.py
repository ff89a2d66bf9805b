"""`on`, `once` and `off`: the base class of everything that emits events, in both packages.

Listeners are called by the dispatchers of `transport/`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from sogni.core.outbox import Listeners, check_event

On = TypeVar("On")
R = TypeVar("R")
V = TypeVar("V")

Remover = Callable[[], None]


class Decorator(Protocol[V]):
    """Registers the decorated function and returns it unchanged."""

    def __call__(self, function: Callable[[V], R], /) -> Callable[[V], R]: ...


class EventEmitter(ABC, Generic[On]):
    """Callbacks for events: `on`, `once` and `off`.

    `On` is the type of `on` and `once`: a protocol whose overloads give each event the type of its callback.

    Callbacks run in order, one at a time, on the client's own thread (asyncio: in the loop, where they may be coroutine
    functions). Their errors are logged.
    """

    __slots__ = ()
    _events: frozenset[str] = frozenset()

    @abstractmethod
    def _listeners(self) -> Listeners:
        """The registry behind this emitter."""

    def _listeners_of(self, event: str) -> Listeners:
        """The registry of one event, for emitters that have several."""
        return self._listeners()

    def _add(self, event: str, function: Callable[..., Any], *, once: bool) -> Remover:
        """Register a listener."""
        return self._listeners_of(event).add(event, function, once=once)

    def _on_listener_added(self) -> None:
        """Note that there is a listener for something of this client."""

    if TYPE_CHECKING:
        on: On
        once: On
    else:

        def on(self, event, function=None):
            """Call a function at every occurrence of an event.

            Args:
                event: Name of the event.
                function: Receives the value of the event. Without it, `on` is a decorator.

            Returns:
                A function that removes the registration again.

            Raises:
                ValueError: The event is unknown. The message lists the known ones.
                TypeError: `function` cannot be called.

            Example:
                >>> remove = client.on("connected", lambda event: print(event.network))
                >>> @client.on("disconnected")
                ... def report(event):
                ...     print(event.reason)
            """
            return self._register(event, function, once=False)

        def once(self, event, function=None):
            """Call a function at the next occurrence of an event only.

            Args:
                event: Name of the event.
                function: Receives the value of the event. Without it, `once` is a decorator.

            Returns:
                A function that removes the registration again.

            Raises:
                ValueError: The event is unknown. The message lists the known ones.
                TypeError: `function` cannot be called.

            Example:
                >>> remove = client.once("connected", lambda event: print(event.network))
            """
            return self._register(event, function, once=True)

    def off(self, event: str, function: Callable[..., Any]) -> None:
        """Stop calling a function for an event. Does nothing if it is not registered.

        Args:
            event: Name of the event.
            function: The function that was given to `on` or `once`.

        Raises:
            ValueError: The event is unknown. The message lists the known ones.

        Example:
            >>> client.off("connected", print)
        """
        check_event(event, self._events, type(self).__name__)
        self._listeners_of(event).remove(event, function)

    def _register(self, event: str, function: Callable[..., Any] | None, *, once: bool) -> Any:
        check_event(event, self._events, type(self).__name__)
        if function is not None:
            if not callable(function):
                raise TypeError(f"function must be callable, got {type(function).__name__}")
            self._on_listener_added()
            return self._add(event, function, once=once)

        def decorate(decorated: Callable[..., Any]) -> Callable[..., Any]:
            self._register(event, decorated, once=once)
            return decorated

        return decorate
