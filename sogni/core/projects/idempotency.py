"""Idempotency keys: one project for all calls of an account with the same key.

The id of the project is derived from account and key, so that every process that repeats a call knows it without
having stored anything. A call first asks the service for that id, and follows the project if there is one. Two calls
that ask at the same moment, in different processes, send requests with the same id, which are one project to the
service. Within a process, calls with one key wait for each other.
"""

# projects-4.2 §1 (ids), projects-5x §9.6 (a request that may have been lost is sent again under its id), §9.7

from __future__ import annotations

import hashlib
import os
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import frozen

from sogni.core.account.flows import wallet_address
from sogni.core.checks import invalid_value, short_repr
from sogni.core.flow import Flow, State, change, pause
from sogni.core.outbox import Poll
from sogni.core.projects.params import comparable, params_from_record
from sogni.core.projects.project import ProjectState
from sogni.core.projects.recovery import SNAPSHOT_DELAY, attach
from sogni.core.projects.results import live_record
from sogni.errors import NotFoundError, ValidationError
from sogni.models.params import ProjectParams
from sogni.models.projects import ProjectRecord

MAX_KEY_LENGTH = 255
_WAIT = 0.05
"""Seconds between two looks at a key that another call holds: clients of one process have no common way to wait."""
_ASK_AGAIN = 0.5
_MAX_REMEMBERED = 1000
_SHOWN = 100
"""Characters of a parameter in an error message."""
_RESTORED = ("model_id", "positive_prompt", "negative_prompt", "style_prompt")
"""Parameters that are restored from a record as they were given. The service may adjust others, such as steps."""
_RECORDED = (*_RESTORED, "number_of_media")

Place = tuple[str, str]


@frozen
class _Sent:
    """What this process sent under a key: the parameters, and the monotonic time."""

    params: Mapping[str, Any]
    at: float


# Shared by all clients of the process, in all threads: single operations on these are atomic.
_held: dict[tuple[int, Place], object] = {}
"""The calls that hold a key, by process: after a fork, those of the parent do not hold any in the child."""
_sent: OrderedDict[Place, _Sent] = OrderedDict()


def checked_key(key: Any) -> str:
    """Return an idempotency key."""
    allowed = f"a string of 1 to {MAX_KEY_LENGTH} characters"
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise invalid_value("idempotency_key", key, allowed)
    return key


def id_of_key(address: str, key: str) -> str:
    """Return the id of the project of an account and a key, in the form of every other project id."""
    # The case of an address is a checksum, which not every source keeps (account §1).
    name = f"sogni project\n{address.lower()}\n{key}"
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4)).upper()


class Claim:
    """A call with an idempotency key; while it holds the key, other calls of the process with that key wait.

    `project` is the project of an earlier call, once `take` has found one.
    """

    def __init__(self, key: Any) -> None:
        self._key = checked_key(key)
        self._place: Place | None = None
        self.project: ProjectState | None = None

    def take(self, params: ProjectParams) -> Flow[str]:
        """Take the key, look for its project, and return the project's id.

        Raises `ValidationError` if the project has other parameters.
        """
        project_id = id_of_key((yield from wallet_address()), self._key)
        service = yield from change(lambda state, _: state.settings.rest_endpoint)
        place = (service, project_id)
        self._place = place
        while _held.setdefault((os.getpid(), place), self) is not self:
            yield from pause(_WAIT)
        self.project = yield from self._find(place, project_id, params)
        return project_id

    def release(self) -> None:
        """Let other calls with the key continue."""
        if self._place is not None and _held.get(held := (os.getpid(), self._place)) is self:
            del _held[held]

    def sent(self, project: ProjectState) -> Flow[None]:
        """Remember a project that was sent, and check that its frames arrive here."""
        assert self._place is not None
        place = self._place

        def remember(state: State, now: float) -> None:
            _sent[place] = _Sent(comparable(project.params), now)
            if len(_sent) > _MAX_REMEMBERED:
                with suppress(KeyError):
                    _sent.popitem(last=False)
            # A process that sent the same request a moment earlier gets the frames; this one polls.
            state.out.start(Poll(project.id))

        yield from change(remember)

    def _find(self, place: Place, project_id: str, params: ProjectParams) -> Flow[ProjectState | None]:
        given = comparable(params)
        sent = _sent.get(place)
        before = sent.params if sent is not None else None
        tracked = yield from change(lambda state, _: state.projects.by_id.get(project_id))
        if tracked is not None and not tracked.abandoned:
            names = _RESTORED if tracked.recovered and not before else None
            self._refuse_others(project_id, before or comparable(tracked.params), given, names)
            if tracked.status not in ("failed", "canceled"):
                return tracked
        # A project that has ended here was reported by the service: it is not too new to have a record.
        record = yield from _record_of(project_id, sent.at if sent is not None and tracked is None else None)
        if record is None:
            return None
        self._refuse_others(project_id, before or _recorded(record), given, None if before else _RECORDED)
        project = yield from attach(project_id, None)
        if not before:
            # The list of active projects has their requests, unlike the record.
            self._refuse_others(project_id, comparable(project.params), given, _RESTORED)
        return project

    def _refuse_others(
        self, project_id: str, before: Mapping[str, Any], now: Mapping[str, Any], names: Sequence[str] | None
    ) -> None:
        """Raise `ValidationError` if parameters differ: all of them, or those with these names that are known."""
        names = [*now, *before] if names is None else [name for name in names if before.get(name)]
        differing = [name for name in dict.fromkeys(names) if before.get(name) != now.get(name)]
        if differing:
            raise ValidationError(
                f"idempotency_key {short_repr(self._key)} belongs to project {project_id}, which was created with "
                f"{_listed(differing, before)}; got {_listed(differing, now)}. Use another key for another project",
                field="idempotency_key",
                value=self._key,
                allowed="a key that was not used with other parameters",
            )


def _recorded(record: ProjectRecord) -> dict[str, Any]:
    """Return the parameters in a record."""
    params = comparable(params_from_record(record))
    if record.image_count is None:
        del params["number_of_media"]
    return params


def _listed(names: list[str], values: Mapping[str, Any]) -> str:
    shown = ((name, repr(values.get(name))) for name in names)
    return ", ".join(f"{name}={text[:_SHOWN]}{'...' if len(text) > _SHOWN else ''}" for name, text in shown)


def _record_of(project_id: str, sent_at: float | None) -> Flow[ProjectRecord | None]:
    """Request the record of a project; None if the service does not know it, and not just because it is too new."""
    while True:
        try:
            return (yield from live_record(project_id))
        except NotFoundError:
            now = yield from change(lambda _, now: now)
            if sent_at is None or now - sent_at > SNAPSHOT_DELAY:
                return None
        yield from pause(_ASK_AGAIN, 0.2)
