"""Event logs of workflows and chat runs, and the SQLite archive that outlives the emulator.

An event is saved before anybody is notified, so that a stream never contains what a restart would lose. Without a data
directory, the archive does nothing. Everything here belongs to the server's event loop.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import cattrs
from attrs import define, field, frozen


@frozen
class Event:
    """One event; ``sequence`` counts from 1 within its log, ``at`` is in epoch seconds."""

    sequence: int
    type: str
    at: float
    payload: Mapping[str, Any] = field(factory=dict)

    def wire(self) -> dict[str, object]:
        """Return the event in the form of records and streams."""
        return {"sequence": self.sequence, "type": self.type, "at": iso(self.at), "payload": dict(self.payload)}


RunStatus = Literal["queued", "running", "waiting_for_user", "completed", "partial_failure", "failed", "cancelled"]
ENDED: tuple[RunStatus, ...] = ("completed", "partial_failure", "failed", "cancelled")


def iso(moment: float) -> str:
    """Format a time as the service's records do."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@define(eq=False)
class EventLog:
    """The events of one run. ``keep`` saves an event; ``ended`` is set once no more will follow."""

    clock: Callable[[], float]
    keep: Callable[[Event, bool], object] | None = None
    ended: bool = False
    _events: list[Event] = field(factory=list)
    _appended: asyncio.Event = field(factory=asyncio.Event)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def last_sequence(self) -> int:
        return self._events[-1].sequence if self._events else 0

    def append(self, type: str, payload: Mapping[str, Any] | None = None, *, ends: bool = False) -> Event:
        """Append an event; with ``ends`` it is the last one."""
        if self.ended:
            raise RuntimeError(f"the log has ended, {type} cannot be added")
        event = Event(self.last_sequence + 1, type, self.clock(), payload or {})
        if self.keep is not None:
            self.keep(event, ends)
        self._events.append(event)
        self.ended = ends
        self._wake()
        return event

    def restore(self, event: Event, ended: bool) -> None:
        """Restore an event saved by an earlier emulator."""
        self._events.append(event)
        self.ended = ended

    def since(self, sequence: int = 0) -> list[Event]:
        """Return the events after a sequence number, oldest first."""
        # Sequence numbers have no gaps, so the number is the position.
        return self._events[max(0, sequence) :]

    async def wait(self, sequence: int, seconds: float) -> list[Event]:
        """Return the events after a sequence number once there are any, the log has ended, or the time is up."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not self.ended and self.last_sequence <= sequence:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            appended = self._appended
            try:
                await asyncio.wait_for(appended.wait(), left)
            except TimeoutError:
                break
        return self.since(sequence)

    def _wake(self) -> None:
        # Current waiters are woken by this event; later ones wait for the next.
        self._appended.set()
        self._appended = asyncio.Event()


_CONVERTER = cattrs.Converter()
_CONVERTER.register_unstructure_hook(Decimal, str)
_CONVERTER.register_structure_hook(Decimal, lambda value, _: Decimal(value))


def saved(value: object) -> Any:
    """Return a value as JSON that ``restored`` reads."""
    return _CONVERTER.unstructure(value)


def restored(value: Any, kind: Any) -> Any:
    """Return the value of a type that was saved as JSON."""
    return _CONVERTER.structure(value, kind)


_SCHEMA = """
create table if not exists facts (name text primary key, value text not null);
create table if not exists things (
    kind text not null, id text not null, owner text not null, body text not null, primary key (kind, id)
);
create table if not exists events (
    kind text not null, id text not null, sequence integer not null, type text not null, at real not null,
    payload text not null, ends integer not null, primary key (kind, id, sequence)
);
create table if not exists files (
    project text not null, item text not null, role text not null, path text not null, content_type text,
    created real not null, primary key (project, item, role)
);
"""


@frozen
class StoredItem:
    """An item as it was last saved."""

    id: str
    owner: str
    body: dict[str, Any]


@define(eq=False)
class Archive:
    """The SQLite file of a directory; with ``directory`` None, nothing is saved."""

    directory: Path | None = None
    _connection: sqlite3.Connection | None = field(default=None, init=False)

    def open(self) -> None:
        """Open or create the file; call it in the thread that will use it."""
        if self.directory is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.directory / "emulator.sqlite3", isolation_level=None, timeout=1)
        # One emulator at a time: two would overwrite each other's data.
        self._connection.execute("pragma locking_mode = exclusive")
        # A committed transaction survives the end of the process without a sync.
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def persistent(self) -> bool:
        return self.directory is not None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Save everything written in the block, or nothing. A nested block joins the outer transaction."""
        if self._connection is None or self._connection.in_transaction:
            yield
            return
        with self._connection:
            self._connection.execute("begin")
            yield

    def fact(self, name: str) -> Any:
        """Return a value by name, or None."""
        rows = list(self._rows("select value from facts where name = ?", name))
        return json.loads(rows[0][0]) if rows else None

    def set_fact(self, name: str, value: object) -> None:
        self._write("insert or replace into facts values (?, ?)", name, json.dumps(value))

    def put(self, kind: str, id: str, owner: str, body: Mapping[str, Any]) -> None:
        """Save an item, replacing an earlier version."""
        # REPLACE would move the row to the end; the order is that of creation.
        self._write(
            "insert into things values (?, ?, ?, ?)"
            " on conflict do update set owner = excluded.owner, body = excluded.body",
            kind,
            id,
            owner,
            json.dumps(body),
        )

    def delete(self, kind: str, id: str) -> None:
        self._write("delete from things where kind = ? and id = ?", kind, id)
        self._write("delete from events where kind = ? and id = ?", kind, id)

    def items_of_kind(self, kind: str) -> list[StoredItem]:
        """Return all items of a kind, oldest first."""
        rows = self._rows("select id, owner, body from things where kind = ? order by rowid", kind)
        return [StoredItem(name, owner, json.loads(body)) for name, owner, body in rows]

    def add_event(self, kind: str, id: str, event: Event, ends: bool) -> None:
        payload = json.dumps(event.payload)
        self._write(
            "insert into events values (?, ?, ?, ?, ?, ?, ?)",
            *(kind, id, event.sequence, event.type, event.at, payload, ends),
        )

    def events(self, kind: str, id: str) -> Iterator[tuple[Event, bool]]:
        """Yield the events of an item in order, and whether each was the last."""
        requested = "select sequence, type, at, payload, ends from events where kind = ? and id = ? order by sequence"
        for sequence, name, at, payload, ends in self._rows(requested, kind, id):
            yield Event(sequence, name, at, json.loads(payload)), bool(ends)

    def put_file(self, key: tuple[str, str, str], path: str, content_type: str | None, created: float) -> None:
        self._write("insert or replace into files values (?, ?, ?, ?, ?, ?)", *key, path, content_type, created)

    def delete_file(self, key: tuple[str, str, str]) -> None:
        self._write("delete from files where project = ? and item = ? and role = ?", *key)

    def files(self) -> list[tuple[str, str, str, str, str | None, float]]:
        return list(self._rows("select project, item, role, path, content_type, created from files order by rowid"))

    def clear(self) -> None:
        """Remove everything except named values."""
        for table in ("things", "events", "files"):
            self._write(f"delete from {table}")

    def _rows(self, query: str, *values: Any) -> Iterator[Any]:
        return iter(()) if self._connection is None else self._connection.execute(query, values)

    def _write(self, query: str, *values: Any) -> None:
        if self._connection is not None:
            self._connection.execute(query, values)
