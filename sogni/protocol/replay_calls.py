"""Calls of replay records: decides what is sent and how the flat answers are read (replay §1 to §3).

Called by the replay flows. It sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..models.converter import read, read_time, wire_form
from ..models.replays import ReplayRecord, ReplayRecords, ReplayRecordSummary, ReplayWriteResult, RunRecord
from . import field_checks as checks
from .http import HttpCall, HttpReply, get, post
from .json_values import beyond, json_object
from .resource_ids import path_segment
from .template_calls import members_of, no_such_part

RECORDS = "/v1/replay/records"


def write_call(record: Any) -> HttpCall:
    """Keep a record: as it is, further keys too. ValidationError for what JSON cannot carry."""
    plain = json_object("record", record if isinstance(record, Mapping) else wire_form(RunRecord, record))
    checks.without_gaps("record.rounds", plain.get("rounds"))
    return post(RECORDS, plain)


def list_call(limit: Any) -> HttpCall:
    """The records; a limit of 0 or below is none (replay §1)."""
    limit = checks.optional(checks.integer, "limit", limit)
    return get(RECORDS, limit=limit if limit is not None and limit > 0 else None)


def get_call(run_id: Any) -> HttpCall:
    """Ask for a record."""
    return get(f"{RECORDS}/{path_segment('run_id', run_id)}")


_OF_WRITE = frozenset({"status", "runId", "schemaVersion", "redacted", "createTime", "updateTime"})
_OF_LIST = frozenset({"status", "records"})
_OF_RECORD = frozenset({"status", "record", "createTime"})


def read_write(call: HttpCall, reply: HttpReply) -> ReplayWriteResult:
    """What was stored; an ApiError with status 500 when the answer does not say (replay §3)."""
    found = members_of(call, reply)
    run_id, version = found.get("runId"), found.get("schemaVersion")
    if not isinstance(run_id, str):
        raise no_such_part(call, "runId")
    return ReplayWriteResult(
        run_id=run_id,
        schema_version=_version(version),
        redacted=found.get("redacted") is True,
        create_time=_time(found.get("createTime")),
        update_time=_time(found.get("updateTime")),
        extra=beyond(found, _OF_WRITE),
    )


def read_list(call: HttpCall, reply: HttpReply) -> ReplayRecords:
    """The records in a list; what is none is left out."""
    found = members_of(call, reply)
    listed = found.get("records")
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    return ReplayRecords(
        records=[read(ReplayRecordSummary, entry, "a record in a list") for entry in entries],
        extra=beyond(found, _OF_LIST),
    )


def read_record(call: HttpCall, reply: HttpReply, run_id: str) -> ReplayRecord:
    """A whole record; an ApiError with status 500 without one (replay §3)."""
    found = members_of(call, reply)
    record = found.get("record")
    if not isinstance(record, Mapping):
        raise no_such_part(call, "record")
    whole = record if isinstance(record.get("run_id"), str) else {**record, "run_id": run_id}
    source = f"the answer to {call.method} {call.path}"
    return ReplayRecord(
        record=read(RunRecord, whole, source),
        create_time=_time(found.get("createTime")),
        extra=beyond(found, _OF_RECORD),
    )


def _version(value: Any) -> int | str:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) else 0


def _time(value: Any) -> datetime | None:
    try:
        return None if isinstance(value, str) else read_time(value)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
