"""Replay records: recorded turns of a conversation, and the responses of `client.replay`."""

# The wire format: replay §2, §3.

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import field, frozen

from sogni.models.base import EPOCH, LooseModel, Model, redacted_repr, wire


@frozen(kw_only=True)
class RunRecord(LooseModel):
    """The record of one turn of a conversation. Further keys are kept in `extra` and sent unchanged.

    Attributes:
        run_id: ID of the record.
        schema_version: Version of the record's format.
        session_id: ID of the conversation.
        account_id: ID of the account.
        model_id: ID of the language model.
        rounds: The rounds of the turn, in any format.
        user_request: What the user asked.
        final_response: The final response, in any format.
    """

    run_id: str = field(metadata=wire("run_id"))
    schema_version: int | str | None = field(default=None, metadata=wire("schema_version"))
    session_id: str | None = field(default=None, metadata=wire("session_id"))
    account_id: str | None = field(default=None, metadata=wire("account_id"))
    model_id: str | None = field(default=None, metadata=wire("model_id"))
    rounds: list[Any] | None = field(default=None, repr=redacted_repr)
    user_request: str | None = field(default=None, metadata=wire("user_request"))
    final_response: Any = field(default=None, metadata=wire("final_response"), repr=redacted_repr)


@frozen(kw_only=True)
class ReplayWriteResult(Model):
    """The response of `client.replay.write`.

    Attributes:
        run_id: ID of the record.
        schema_version: Version of the record's format.
        redacted: Whether the service has redacted something.
        create_time: Time of creation.
        update_time: Time of the last change.
    """

    run_id: str
    schema_version: int | str = 0
    redacted: bool = False
    create_time: datetime | None = field(default=None, metadata=EPOCH)
    update_time: datetime | None = field(default=None, metadata=EPOCH)


@frozen(kw_only=True)
class ReplayRecordSummary(LooseModel):
    """The summary of a record.

    Attributes:
        run_id: ID of the record, for `client.replay.get`.
        schema_version: Version of the record's format.
        create_time: Time of creation.
        update_time: Time of the last change.
        user_request: What the user asked.
        final_response: The final response.
        model_id: ID of the language model.
        rounds: Number of rounds; in `RunRecord` it is the rounds themselves.
    """

    run_id: str = ""
    schema_version: int | str | None = None
    create_time: datetime | None = field(default=None, metadata=EPOCH)
    update_time: datetime | None = field(default=None, metadata=EPOCH)
    user_request: str | None = None
    final_response: Any = field(default=None, repr=redacted_repr)
    model_id: str | None = None
    rounds: int | None = None


@frozen(kw_only=True)
class ReplayRecords(Model):
    """The response of `client.replay.list`.

    Attributes:
        records: Summaries of the account's records.
    """

    records: list[ReplayRecordSummary] = field(factory=list)


@frozen(kw_only=True)
class ReplayRecord(Model):
    """The response of `client.replay.get`.

    Attributes:
        record: The record.
        create_time: Time of creation.
    """

    record: RunRecord
    create_time: datetime | None = field(default=None, metadata=EPOCH)
