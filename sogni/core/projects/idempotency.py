"""Idempotency keys: one project for all calls of an account with the same key.

The id of the project is derived from account and key, so every process that repeats a call knows it. A call first asks
the service for that id, and follows the project if there is one. Two calls that ask at the same moment, in different
processes, send requests with the same id, which are one project to the service. Within a process, calls with one key
wait for each other.
"""

# projects-4.2 §1 (ids), projects-5x §9.6 (a request that may have been lost is sent again under its id), §9.7

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from attrs import frozen

from sogni.core.account.flows import wallet_address
from sogni.core.checks import invalid_value, short_repr
from sogni.core.flow import Flow, State, change, compute, pause
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

Place = tuple[str, str]
"""The REST endpoint and the id of a project."""


class KeyNotes(Protocol):
    """Digests of the parameters sent with keys, including those of earlier processes. Its methods do not raise."""

    def read(self, service: str, project_id: str) -> Mapping[str, str] | None:
        """Return the digests of the parameters of a project; None if they are unknown."""

    def write(self, service: str, project_id: str, parameters: Mapping[str, str]) -> None:
        """Note the digests of the parameters of a project."""


@frozen
class _Sent:
    """The request that this process sent with a key: the parameters, and the monotonic time."""

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

    `project` is the project of an earlier call, once `take` has found one. A `new` key is known to have no earlier
    call, and no other one at the same time: nothing is looked up, noted or polled.
    """

    def __init__(self, key: Any, *, new: bool = False) -> None:
        self._key = checked_key(key)
        self._new = new
        self._place: Place | None = None
        self._given: dict[str, Any] = {}
        self.project: ProjectState | None = None

    def take(self, params: ProjectParams, media: Mapping[str, int] | None = None) -> Flow[str]:
        """Take the key, look for its project, and return the project's id. `media` are the sizes of files, by field.

        Raises `ValidationError` if the project has other parameters.
        """
        project_id = id_of_key((yield from wallet_address()), self._key)
        place = (yield from change(lambda state, _: state.settings.rest_endpoint)), project_id
        self._place = place
        # Files may be temporary ones: neither their paths nor their times tell whether they are the same.
        self._given = comparable(params) | {name: f"<{size} bytes>" for name, size in (media or {}).items()}
        if self._new:
            return project_id
        while _held.setdefault((os.getpid(), place), self) is not self:
            yield from pause(_WAIT)
        self.project = yield from self._find(place)
        if self.project is None:
            yield from _note(place, self._given)
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
            _sent[place] = _Sent(self._given, now)
            if len(_sent) > _MAX_REMEMBERED:
                with suppress(KeyError):
                    _sent.popitem(last=False)
            if not self._new:
                # A process that sent the same request a moment earlier gets the frames; this one polls.
                state.out.start(Poll(project.id))

        yield from change(remember)

    def _find(self, place: Place) -> Flow[ProjectState | None]:
        _, project_id = place
        sent = _sent.get(place)
        tracked = yield from change(lambda state, _: state.projects.by_id.get(project_id))
        if tracked is not None and not tracked.abandoned and tracked.status not in ("failed", "canceled"):
            before = comparable(tracked.params)
            if sent is not None:
                self._refuse(project_id, sent.params)
            else:
                self._refuse(project_id, before, _restored(before) if tracked.recovered else before)
            return tracked
        # The service may have refused one that failed. Then it has no record, and not because it is too new.
        record = yield from _record_of(project_id, sent.at if sent is not None and tracked is None else None)
        if record is None:
            return None
        if sent is not None:
            self._refuse(project_id, sent.params)
            return (yield from attach(project_id, None))
        yield from self._compare(place, record)
        project = yield from attach(project_id, None)
        # The list of active projects has their requests, unlike the record.
        before = comparable(project.params)
        self._refuse(project_id, before, _restored(before))
        return project

    def _compare(self, place: Place, record: ProjectRecord) -> Flow[None]:
        """Compare the parameters with those of a project of another process, as far as known."""
        restored = comparable(params_from_record(record))
        names = _restored(restored) + (["number_of_media"] if record.image_count is not None else [])
        before = {name: restored[name] for name in names}
        notes = yield from change(lambda state, _: state.key_notes)
        noted = None
        if notes is not None:
            noted = yield from compute("reading the note of a key", partial(notes.read, *place))
        if noted is not None:
            now = _digests(place, self._given)
            names = [name for name in _names(now, noted) if now.get(name) != noted.get(name)]
            before = {name: before.get(name, _ANOTHER) for name in noted}
        self._refuse(place[1], before, names)

    def _refuse(self, project_id: str, before: Mapping[str, Any], names: Iterable[str] | None = None) -> None:
        """Raise `ValidationError` if parameters differ: all of them, or those with these names."""
        now = self._given
        names = _names(now, before) if names is None else names
        differing = [name for name in names if before.get(name) != now.get(name)]
        if differing:
            raise ValidationError(
                f"idempotency_key {short_repr(self._key)} belongs to project {project_id}, which was created with "
                f"{_listed(differing, before)}; got {_listed(differing, now)}. Use another key for another project",
                field="idempotency_key",
                value=self._key,
                allowed="a key that was not used with other parameters",
            )


class _Another:
    """A value of which only the digest is known."""

    def __repr__(self) -> str:
        return "<another value>"


_ANOTHER = _Another()


def _note(place: Place, given: Mapping[str, Any]) -> Flow[None]:
    """Note the parameters of a project that is about to be sent. The note is only used once the service knows it."""
    notes = yield from change(lambda state, _: state.key_notes)
    if notes is not None:
        yield from compute("noting a key", partial(notes.write, *place, _digests(place, given)))


def _digests(place: Place, given: Mapping[str, Any]) -> dict[str, str]:
    """Return digests of parameters, which differ for equal values of different projects."""
    return {name: _digest([*place, name, value]) for name, value in given.items()}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _names(*given: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for values in given for name in values))


def _restored(before: Mapping[str, Any]) -> list[str]:
    return [name for name in _RESTORED if before.get(name)]


def _listed(names: Iterable[str], values: Mapping[str, Any]) -> str:
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
