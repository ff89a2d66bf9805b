"""Replay records: writing and reading them (replay §1). Called by `client.replay`. Needs no socket."""

from __future__ import annotations

from typing import Any

from ..models.replays import ReplayRecord, ReplayRecords, ReplayWriteResult, RunRecord
from ..protocol import replay_calls as calls
from ..protocol.run_redaction import redact_run_record
from .requests import request
from .steps import Flow, change


def write_record(record: Any) -> Flow[ReplayWriteResult]:
    """Keep a record."""
    call = calls.write_call(record)
    return calls.read_write(call, (yield from request(call)))


def write_run(record: RunRecord) -> Flow[ReplayWriteResult]:
    """Keep a record that was made here, without secrets, those of this client first of all."""
    secrets = yield from change(lambda state, _: state.credentials.secrets)
    return (yield from write_record(redact_run_record(record, secrets=secrets)))


def list_records(limit: int | None) -> Flow[ReplayRecords]:
    """The records of the account."""
    call = calls.list_call(limit)
    return calls.read_list(call, (yield from request(call)))


def get_record(run_id: str) -> Flow[ReplayRecord]:
    """A whole record."""
    call = calls.get_call(run_id)
    return calls.read_record(call, (yield from request(call)), run_id)
