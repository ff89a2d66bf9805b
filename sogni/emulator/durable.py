"""Work that continues whether or not a client listens: the base of chat runs, workflows and world builds.

A run belongs to one account. Chat runs and workflows are saved with every event, and resumed by the next emulator with
the same data. All of this belongs to the server's event loop.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from typing import Any, ClassVar, Generic, TypeVar, get_type_hints

from attrs import define, field, fields

from sogni.emulator.account.accounts import Account
from sogni.emulator.persistence import ENDED, Event, EventLog, RunStatus, iso, restored, saved
from sogni.emulator.responses import NOT_FOUND, RefusedError
from sogni.emulator.state import State


@define(eq=False, kw_only=True)
class DurableRun:
    """One run. ``key`` is the idempotency key of the request that has started it, ``request`` its body."""

    transient: ClassVar[frozenset[str]] = frozenset({"account", "log", "task"})
    """The fields that are not saved."""

    id: str
    account: Account
    log: EventLog
    created: float
    updated: float
    request: Mapping[str, Any] = field(factory=dict)
    key: str | None = None
    status: RunStatus = "queued"
    task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def times(self) -> dict[str, str]:
        return {"createdAt": iso(self.created), "updatedAt": iso(self.updated)}

    def happened(self, type: str, payload: Mapping[str, Any] | None = None, *, ends: bool = False) -> None:
        # First, because appending to the log saves the run as well.
        self.updated = self.log.clock()
        self.log.append(type, payload, ends=ends)

    @classmethod
    def _saved_fields(cls) -> list[str]:
        return [it.name for it in fields(cls) if it.name not in cls.transient]

    def saved(self) -> dict[str, Any]:
        """Return JSON from which ``load`` restores the run."""
        return {name: saved(getattr(self, name)) for name in self._saved_fields()}

    def load(self, body: Mapping[str, Any]) -> None:
        hints = get_type_hints(type(self))
        for name in self._saved_fields():
            setattr(self, name, restored(body[name], hints[name]))


R = TypeVar("R", bound=DurableRun)


@define(eq=False)
class DurableRuns(Generic[R]):
    """All runs of one kind."""

    not_found: ClassVar[str]

    state: State
    runs: dict[str, R] = field(factory=dict, init=False)

    def find(self, account: Account, id: str) -> R:
        """Return an account's run; a run of another account is not found."""
        run = self.runs.get(id)
        if run is None or run.account is not account:
            raise RefusedError(404, self.not_found, NOT_FOUND)
        return run

    def of(self, account: Account) -> list[R]:
        """Return an account's runs, the newest first."""
        return [run for run in reversed(self.runs.values()) if run.account is account]

    def known(self, account: Account, key: str | None, request: Mapping[str, Any], **facts: Any) -> R | None:
        """Return the run that an earlier request with the same key has started. ``facts`` are further fields of it."""
        runs = self.of(account) if key else []
        same = {"key": key, **facts}
        run = next((it for it in runs if all(getattr(it, name) == fact for name, fact in same.items())), None)
        if run is not None and fingerprint(run.request) != fingerprint(request):
            self.state.recorder.violation("Idempotency-Key", "was used before with a different body")
        return run

    def new_log(self) -> EventLog:
        return EventLog(self.state.clock)

    def add(self, run: R) -> R:
        self.runs[run.id] = run
        return run

    def launch(self, run: R, work: Coroutine[Any, Any, None]) -> None:
        run.task = asyncio.get_running_loop().create_task(work)

    async def stop(self) -> None:
        """Stop all tasks without changing their runs: saved ones continue in the next emulator."""
        tasks = [run.task for run in self.runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def clear(self) -> None:
        """Remove every run; their tasks end in the next iterations of the loop."""
        for run in self.runs.values():
            if run.task is not None:
                run.task.cancel()
        self.runs.clear()


@define(eq=False)
class SavedRuns(DurableRuns[R], ABC):
    """All runs of a kind that outlives the emulator."""

    kind: ClassVar[str]
    """The name under which they are saved."""

    def add(self, run: R) -> R:
        """Register a run, which is saved with each of its events from now on."""

        def keep(event: Event, ends: bool) -> None:
            # A run removed in the meantime must not come back.
            if self.runs.get(run.id) is run:
                with self.state.archive.transaction():
                    self.keep_event(run, event, ends)

        run.log.keep = keep
        return DurableRuns.add(self, run)

    def keep_event(self, run: R, event: Event, ends: bool) -> None:
        self.keep(run)
        self.state.archive.add_event(self.kind, run.id, event, ends)

    def keep(self, run: R) -> None:
        """Save a run unless it has been removed."""
        if self.state.archive.persistent and self.runs.get(run.id) is run:
            self.state.archive.put(self.kind, run.id, run.account.wallet_address, run.saved())

    def restore(self) -> None:
        """Load the saved runs; they do not resume yet."""
        for item in self.state.archive.items_of_kind(self.kind):
            account = self.state.accounts.by_address(item.owner)
            if account is None:
                continue
            run = self.loaded(account, item.body)
            for event, ends in self.state.archive.events(self.kind, item.id):
                run.log.restore(event, ends)
            self.interrupted(self.add(run))

    @abstractmethod
    def loaded(self, account: Account, body: Mapping[str, Any]) -> R:
        """Return a saved run."""

    @abstractmethod
    def interrupted(self, run: R) -> None:
        """Reset what was under way when the emulator ended."""


def fingerprint(body: object) -> str:
    """Return a string that identifies a request body."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))
