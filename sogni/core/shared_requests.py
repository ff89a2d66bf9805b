"""Requests that concurrent callers share: one of them sends, and all get its outcome."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from sogni.core.flow import Flow, State, change, until
from sogni.errors import SogniError

T = TypeVar("T")


class SharedRequest:
    """A request under way that others wait for instead of sending the same.

    `finished` without `answer` or `error` means that the outcome is unknown: the caller that sent it was interrupted.
    """

    def __init__(self) -> None:
        self.finished = False
        self.answer: Any = None
        self.error: SogniError | None = None


class SharedRequests:
    """The shared requests in progress, by subject."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, SharedRequest] = {}

    def join(self, target: Hashable, own: SharedRequest) -> SharedRequest:
        """Return the request of this target that is under way, or `own`, which the caller then has to send."""
        return self._under_way.setdefault(target, own)

    def settle(self, target: Hashable, own: SharedRequest) -> None:
        """End the request of a caller; the next one sends a new one."""
        own.finished = True
        if self._under_way.get(target) is own:
            del self._under_way[target]


def shared(
    requests: SharedRequests, target: Hashable, send: Callable[[], Flow[T]], *, shares_errors: bool = True
) -> Flow[T]:
    """Return the outcome of `send`; callers with the same target at the same time share one outcome.

    If the caller that sends is interrupted, or fails without `shares_errors`, one of the others sends again.
    """
    while True:
        own = SharedRequest()
        try:
            found = yield from change(partial(_join, requests, target, own))
            answer = (yield from send()) if found is own else None
        except GeneratorExit:
            raise
        except BaseException as error:
            if isinstance(error, SogniError) and shares_errors:
                own.error = error
            yield from change(partial(_settle, requests, target, own))
            raise
        if found is own:
            own.answer = answer
            yield from change(partial(_settle, requests, target, own))
            return answer  # type: ignore[return-value]  # what `send` returned
        yield from until(
            (found,),
            partial(_settled, found),
            timeout=None,
            phase="request",
            waiting_for="an answer that another call has asked for",
        )
        if found.error is not None:
            # A new one for everybody: a traceback belongs to one thread.
            raise copy.copy(found.error) from found.error
        if found.answer is not None:
            return found.answer  # type: ignore[no-any-return]  # shared by calls of one type


def _join(requests: SharedRequests, target: Hashable, own: SharedRequest, _: State, __: float) -> SharedRequest:
    return requests.join(target, own)


def _settled(found: SharedRequest, _: State) -> bool | None:
    return found.finished or None


def _settle(requests: SharedRequests, target: Hashable, own: SharedRequest, state: State, _: float) -> None:
    requests.settle(target, own)
    state.out.wake(own)
