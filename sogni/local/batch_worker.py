"""The part of a batch that runs in a worker of an executor: create or resume one project, and save its results.

The worker may be in this process, in another one, or on another host. It makes no decisions: the process of the batch,
which has the journal, selects the project, limits its cost and repeats it if necessary. A task that an executor
repeats, because its worker was lost, finds the project of the first attempt by its idempotency key.

The workers of `sogni_async` are threads and processes, too, so all of them use the blocking client.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import attrs
from attrs import field, frozen

from sogni.core.projects.create import create_once
from sogni.core.projects.params import MEDIA_FIELDS
from sogni.errors import AuthenticationError, ProjectError, SogniError, ValidationError, WorkerError
from sogni.models.params import ProjectParams
from sogni.settings import TokenType

IDLE_SECONDS = 30.0
"""How long a worker keeps the client of a batch, and its connection, after the last request."""
_REMOTE = ("data:", "ftp:", "http:", "https:")


class Sealed:
    """A pickled value whose `repr` shows nothing, because schedulers log arguments and results of tasks."""

    __slots__ = ("_data",)

    def __init__(self, value: Any) -> None:
        self._data = pickle.dumps(value)

    def open(self) -> Any:
        """Return the value."""
        return pickle.loads(self._data)

    def __repr__(self) -> str:
        return "<Sealed>"


@frozen(kw_only=True)
class Assignment:
    """One request of a batch. Paths are absolute, because workers may run elsewhere; `directory` may also be a URL.

    `client` are the arguments of the client, pickled: assignments with the same ones share a client. A project that has
    no idempotency key exists.
    """

    client: bytes = field(repr=False)
    params: ProjectParams = field(repr=False)
    project_id: str
    idempotency_key: str | None = field(repr=False)
    directory: str
    name: str
    overwrite: bool


@frozen(kw_only=True)
class Outcome:
    """The outcome of a request. Without a project there is an error. `files` are paths, or URLs of objects.

    `status` is that of the project; None if there is none.
    """

    error: SogniError | OSError | None = None
    status: str | None = None
    project_id: str | None = None
    files: list[Any] = field(factory=list)
    cost: Any = None
    token_type: TokenType | None = None


def absolute_media(params: ProjectParams) -> ProjectParams:
    """Return params that other processes can read: their media files have absolute paths."""
    absolute: ProjectParams = _absolute(params)
    return absolute


def _absolute(value: Any) -> Any:
    if isinstance(value, str | os.PathLike):
        remote = isinstance(value, str) and value.lower().startswith(_REMOTE)
        return value if remote else os.path.abspath(os.fsdecode(value))
    if isinstance(value, memoryview):  # cannot be pickled
        return bytes(value)
    if isinstance(value, list | tuple):
        return [_absolute(it) for it in value]
    if attrs.has(type(value)):
        media = (it.name for it in attrs.fields(type(value)) if it.name in MEDIA_FIELDS or it.name == "control_net")
        given = {name: found for name in media if (found := getattr(value, name)) is not None}
        return attrs.evolve(value, **{name: _absolute(found) for name, found in given.items()}) if given else value
    return value


def run_assignment(sealed: Sealed) -> Sealed:
    """Create the project of an assignment, or continue with it, save its results, and return the outcome.

    Executors call this in their workers. Every error is part of the outcome.
    """
    try:
        assignment: Assignment = sealed.open()
        with _shared_client(assignment.client) as client:
            outcome = _outcome(client, assignment)
    except SogniError as error:
        outcome = Outcome(error=error)
    except Exception as error:
        outcome = Outcome(error=_worker_error(error))
    try:
        return Sealed(outcome)
    except Exception:  # an error with a value that cannot be pickled
        assert outcome.error is not None
        return Sealed(attrs.evolve(outcome, error=_worker_error(outcome.error)))


def _worker_error(error: Exception) -> WorkerError:
    return WorkerError(f"the worker failed: {type(error).__name__}: {error}")


def _outcome(client: Any, assignment: Assignment) -> Outcome:
    project = _project(client, assignment)
    error: SogniError | OSError | None = None
    files: list[Any] = []
    try:
        project.wait(strict=True)
    except ProjectError as failure:
        error = failure
    if project.status == "completed":
        try:
            files = project.save(assignment.directory, name=assignment.name, overwrite=assignment.overwrite)
        except (SogniError, OSError) as failure:
            error = failure
    return Outcome(
        error=error,
        status=project.status,
        project_id=project.id,
        files=files,
        cost=project.cost,
        token_type=project.token_type,
    )


def _project(client: Any, assignment: Assignment) -> Any:
    if assignment.idempotency_key is None:
        return client.projects.attach(assignment.project_id)

    def check(project_id: str) -> None:
        if project_id != assignment.project_id:
            raise AuthenticationError(
                "the API key of this worker belongs to another account than that of the program that runs the batch; "
                "set the same SOGNI_API_KEY, or pass api_key to the client",
                status=401,
            )

    engine = client._engine
    created = engine.run(create_once(assignment.idempotency_key, assignment.params, {}, announce=check))
    check(created.id)
    return engine.present(created)


# -- the clients of this process


class _Shared:
    """A client, the number of assignments that use it, and the timer that closes it without any."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.users = 0
        self.timer: threading.Timer | None = None


_lock = threading.Lock()
_clients: dict[bytes, _Shared] = {}


@contextmanager
def _shared_client(arguments: bytes) -> Iterator[Any]:
    """Return the client of a batch. The requests that a worker runs after each other share its connection."""
    with _lock:
        shared = _clients.get(arguments)
        if shared is None:
            shared = _clients[arguments] = _Shared(_new_client(arguments))
        shared.users += 1
        if shared.timer is not None:
            shared.timer.cancel()
            shared.timer = None
    try:
        yield shared.client
    finally:
        with _lock:
            shared.users -= 1
            if not shared.users:
                shared.timer = threading.Timer(IDLE_SECONDS, _close_if_idle, (arguments, shared))
                shared.timer.daemon = True
                shared.timer.start()


def _new_client(arguments: bytes) -> Any:
    # Looked up by name, because `sogni_async` uses this module, but not the blocking client.
    module = import_module("sogni.client")
    try:
        return module.unpickled_client(module.SogniClient, pickle.loads(arguments))
    except ValidationError as error:
        # No request is to blame, and the others would fail, too.
        raise AuthenticationError(f"this worker has no API key: {error}", status=401) from None


def close_idle_clients() -> None:
    """Close the clients of this process that no assignment uses."""
    for arguments, shared in list(_clients.items()):
        _close_if_idle(arguments, shared)


def _close_if_idle(arguments: bytes, shared: _Shared) -> None:
    with _lock:
        if shared.users or _clients.get(arguments) is not shared:
            return
        del _clients[arguments]
        if shared.timer is not None:
            shared.timer.cancel()
    shared.client.close()


def _forget_clients() -> None:
    """Leave the clients, which belong to the parent, and a lock that may be held by a thread of it."""
    global _lock
    _lock = threading.Lock()
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_clients)
