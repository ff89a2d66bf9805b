"""Replay records: what a producer writes of a turn, and what a viewer reads (replay §2, §3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import field, frozen

from sogni.models.base import EPOCH, LooseModel, Model, shown, wire


@frozen(kw_only=True)
class RunRecord(LooseModel):
    """One turn: what was asked, what happened, what came of it.

    Only `run_id` is required; `rounds` is a list of whatever the producer notes. Further keys are kept in
    `extra` and travel unchanged.
    """

    run_id: str = field(metadata=wire("run_id"))
    schema_version: int | str | None = field(default=None, metadata=wire("schema_version"))
    session_id: str | None = field(default=None, metadata=wire("session_id"))
    account_id: str | None = field(default=None, metadata=wire("account_id"))
    model_id: str | None = field(default=None, metadata=wire("model_id"))
    rounds: list[Any] | None = field(default=None, repr=shown)
    user_request: str | None = field(default=None, metadata=wire("user_request"))
    final_response: Any = field(default=None, metadata=wire("final_response"), repr=shown)


@frozen(kw_only=True)
class ReplayWriteResult(Model):
    """What was stored; `redacted` tells whether the service took something out."""

    run_id: str
    schema_version: int | str = 0
    redacted: bool = False
    create_time: datetime | None = field(default=None, metadata=EPOCH)
    update_time: datetime | None = field(default=None, metadata=EPOCH)


@frozen(kw_only=True)
class ReplayRecordSummary(LooseModel):
    """A record in a list; `rounds` is their number here."""

    run_id: str = ""
    schema_version: int | str | None = None
    create_time: datetime | None = field(default=None, metadata=EPOCH)
    update_time: datetime | None = field(default=None, metadata=EPOCH)
    user_request: str | None = None
    final_response: Any = field(default=None, repr=shown)
    model_id: str | None = None
    rounds: int | None = None


@frozen(kw_only=True)
class ReplayRecords(Model):
    """Records of the account, without what happened in them."""

    records: list[ReplayRecordSummary] = field(factory=list)


@frozen(kw_only=True)
class ReplayRecord(Model):
    """A whole record."""

    record: RunRecord
    create_time: datetime | None = field(default=None, metadata=EPOCH)
