"""Calls of replay records: decides what is sent and how the flat answers are read (replay §1 to §3).

Called by the replay flows. It sends nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from attrs import define, field

from sogni.core import checks
from sogni.core.checks import beyond, json_object, path_segment
from sogni.core.flow import Flow, change
from sogni.core.http import HttpCall, HttpReply, get, post
from sogni.core.requests import request
from sogni.core.workflows.templates import members_of, no_such_part
from sogni.models.base import Model
from sogni.models.chat import ChatCompletionResult
from sogni.models.converter import read, read_time, snake, to_dict, wire_form
from sogni.models.replay import ReplayRecord, ReplayRecords, ReplayRecordSummary, ReplayWriteResult, RunRecord
from sogni.redaction import HIDDEN, redact

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


# A run record from the chats of a turn: decides what is noted of each (replay §2).
#
# Filled by the recorders of both packages; secrets are taken out later, by `run_redaction`. It asks no clock and
# sends
# nothing. The entries of `rounds` are ours: the service stores whatever a producer notes.


SCHEMA_VERSION = 2


@define(eq=False)
class Turn:
    """One request to a model: what was asked, and the answer, a stream that may still run, or why there is none."""

    model_id: str | None = None
    messages: Sequence[Any] = ()
    answer: Any = None
    error: Mapping[str, str] | None = None
    executed: Sequence[Any] = ()
    """The rounds of tools before the error."""

    def fail(self, error: BaseException) -> None:
        """Note why there is no answer."""
        self.error = told(error)
        self.executed = getattr(error, "tool_history", ())

    @property
    def result(self) -> Any:
        """The answer; of a stream what it ended with, the stream itself before that."""
        whole = getattr(self.answer, "final_result", None)
        return self.answer if whole is None else whole


@define(eq=False)
class RunNotes:
    """What happened so far."""

    run_id: str
    session_id: str | None = None
    account_id: str | None = None
    turns: list[Turn] = field(factory=list)
    error: Mapping[str, str] | None = None

    def begin(self, model_id: str | None, messages: Any) -> Turn:
        """Note a request before it is sent."""
        listed = isinstance(messages, Sequence) and not isinstance(messages, str | bytes)
        turn = Turn(model_id, [to_dict(it) for it in messages] if listed else ())
        self.turns.append(turn)
        return turn

    def fail(self, error: BaseException) -> None:
        """Note that the whole turn ended with an error."""
        self.error = told(error)

    def record(self) -> RunRecord:
        """The record as it is now, secrets included."""
        answered = [turn.result for turn in self.turns if turn.answer is not None]
        return RunRecord(
            run_id=self.run_id,
            schema_version=SCHEMA_VERSION,
            session_id=self.session_id,
            account_id=self.account_id,
            model_id=next((turn.model_id for turn in reversed(self.turns) if turn.model_id), None),
            rounds=[
                {"round": place, **it} for place, it in enumerate(it for turn in self.turns for it in _rounds(turn))
            ],
            user_request=next(filter(None, (_request(turn.messages) for turn in self.turns)), None),
            final_response=_response(answered[-1]) if answered else None,
            extra={} if self.error is None else {"error": self.error},
        )


def told(error: BaseException) -> dict[str, str]:
    """An error as a record tells it."""
    return {"type": type(error).__name__, "message": redact(str(error))}


def _request(messages: Sequence[Any]) -> str | None:
    """The text of the last message of the user."""
    asked = [it.get("content") for it in messages if isinstance(it, Mapping) and it.get("role") == "user"]
    content = asked[-1] if asked else None
    if isinstance(content, list | tuple):
        content = "\n".join(part["text"] for part in content if isinstance(part, Mapping) and "text" in part)
    return content if isinstance(content, str) else None


def _rounds(turn: Turn) -> Iterator[dict[str, Any]]:
    """The rounds of tool calls, then the answer; the first one says what was asked."""
    asked: dict[str, Any] = {"messages": list(turn.messages)} if turn.messages else {}
    named = {} if turn.model_id is None else {"model_id": turn.model_id}
    for entry in getattr(turn.result, "tool_history", None) or turn.executed:
        yield {**named, **asked, **_tools(entry)}
        asked = {}
    outcome = {"error": turn.error} if turn.error is not None else _answer(turn.result)
    yield {**named, **asked, **outcome}


def _tools(entry: Any) -> dict[str, Any]:
    names = ("tool_calls", "tool_results")
    if not all(hasattr(entry, name) for name in names):
        return {"tools": to_dict(entry)}
    return {name: to_dict(getattr(entry, name)) for name in names}


def _answer(result: Any) -> dict[str, Any]:
    if not isinstance(result, ChatCompletionResult):
        return _response(result) | ({"response": to_dict(result)} if isinstance(result, Model) else {})
    facts = {
        "job_id": result.job_id,
        "content": result.content,
        "finish_reason": result.finish_reason,
        "tool_calls": result.tool_calls,
        "usage": result.usage,
        "cost": result.cost,
        "worker_name": result.worker_name,
        "time_taken": result.time_taken,
    }
    return {name: to_dict(value) for name, value in facts.items() if value is not None}


def _response(result: Any) -> dict[str, Any]:
    """What an answer of any kind says: its text where it has one, all of it otherwise."""
    content = getattr(result, "content", None)
    if not isinstance(content, str):
        return {} if result is None else {"response": to_dict(result)}
    facts = {"content": content, "finish_reason": getattr(result, "finish_reason", None)}
    calls = getattr(result, "tool_calls", None)
    return {name: to_dict(value) for name, value in {**facts, "tool_calls": calls or None}.items() if value is not None}


# Run records without secrets: decides what of a record may leave the program that made it (replay §2).
#
# Called by `sogni.redact_run_record` and by the recorder before it writes. The service redacts again. Goes by the
# names
# of keys and by the shape of texts, at any depth, also in JSON within texts; it changes nothing that it is given.


R = TypeVar("R", RunRecord, Mapping[str, Any])

DEEPEST = 60
"""Levels of nesting; what lies deeper is taken out, because nobody has looked at it."""

MOST_PASSES = 20
"""More than any text needs, so that none can hold up a program."""

_SECRET_NAME = re.compile(
    r"(?!(?:time|key)_signature$)(?:.*_)?(?:api_?keys?|authorization|auth|bearer|(?:access|refresh|id|auth|api|session|security|csrf|bot|device)_token"
    r"|jwt|passwords?|passwd|passphrase|secrets?|client_secret|(?:private|secret|signing|access|encryption)_keys?"
    r"|access_key_id|awsaccesskeyid|signature|sig|cookies?|credentials?|mnemonic|seed_phrase)|token|x_amz_.+"
)
_TOKEN_TYPES = ("spark", "sogni")
"""What the key `token` means in this service when it is no secret."""

_WORDS = re.compile(r"[^a-z0-9]+")
_DATA_URI = re.compile(r"(?i)(?P<head>\bdata:[\w.+-]*(?:/[\w.+-]+)?(?:;[\w.+=-]+)*,)[^\s\"'<>()\\]+")
_SHAPES = re.compile(
    r"""(?x)
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \b0x[0-9a-fA-F]{64}\b                            # the key of a wallet
    | \b(?:sk|pk|rk)[-_](?:[A-Za-z0-9]+[-_])*[A-Za-z0-9]{16,}  # keys that say of themselves that they are
    | \bgh[a-z]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{16,} | \bhf_[A-Za-z0-9]{20,}
    | \bxox[a-z]-[A-Za-z0-9-]{10,} | \bAIza[\w-]{30,} | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | (?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{256,}={0,2}  # bytes as text
    """,
    re.DOTALL,
)
_BEARER = re.compile(r"(?i)\b(?P<scheme>bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}")


def redact_run_record(record: R, *, secrets: Iterable[str] = ()) -> R:
    """Return a run record without keys, tokens, passwords, signed queries, and media inside texts.

    A `RunRecord` gives a `RunRecord`, a dict a dict; the record given is not changed, and doing it twice changes
    nothing more. `secrets` are values known to be secret, removed wherever they stand. What goes is replaced by `***`:
    values of keys like `apiKey`, `authorization`, `x-amz-signature`; in texts, and in JSON within texts, what looks
    like a key, a token or bytes, the content of `data:` URIs, and queries of addresses.

    >>> from sogni import redact_run_record
    >>> redact_run_record({"run_id": "r1", "rounds": [{"url": "https://h.example/a.png?X-Amz-Signature=5ab3"}]})
    {'run_id': 'r1', 'rounds': [{'url': 'https://h.example/a.png?***'}]}
    """
    known = [it for it in secrets if it]
    if not isinstance(record, RunRecord | Mapping):
        raise TypeError(f"a run record is a RunRecord or a dict, not {type(record).__name__}")
    cleaned: Any = _clean(wire_form(RunRecord, record) if isinstance(record, RunRecord) else record, known, 0)
    if isinstance(record, RunRecord):
        cleaned = read(RunRecord, cleaned, "the record")
    return cleaned  # type: ignore[no-any-return]  # of the type of the record


def _clean(value: Any, secrets: list[str], depth: int) -> Any:
    if isinstance(value, Model):
        value = to_dict(value)
    if isinstance(value, str):
        return _text(value, secrets, depth)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth > DEEPEST:
        return HIDDEN
    if isinstance(value, Mapping):
        shown = [(_plain(key, secrets) if isinstance(key, str) else key, item) for key, item in value.items()]
        return {key: _named(key, item, secrets, depth + 1) for key, item in shown}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, secrets, depth + 1) for item in value]
    return HIDDEN if isinstance(value, bytes | bytearray | memoryview) else value


def _named(key: Any, value: Any, secrets: list[str], depth: int) -> Any:
    """The value of a key: taken out whole where the name says that it is a secret."""
    name = _WORDS.sub("_", snake(key)).strip("_") if isinstance(key, str) else ""
    if value is None or isinstance(value, bool) or not _SECRET_NAME.fullmatch(name):
        return _clean(value, secrets, depth)
    if name.endswith("token") and (isinstance(value, int | float) or value in _TOKEN_TYPES):
        return value
    return HIDDEN


def _text(text: str, secrets: list[str], depth: int) -> str:
    stripped = text.strip()
    if stripped[:1] in ("{", "[") and depth <= DEEPEST:
        try:
            value = json.loads(stripped)
        except (ValueError, RecursionError):
            return _plain(text, secrets)
        cleaned = _clean(value, secrets, depth + 1)
        return text if cleaned == value else json.dumps(cleaned, ensure_ascii=False)
    return _plain(text, secrets)


def _plain(text: str, secrets: list[str], passes: int = MOST_PASSES) -> str:
    """A text without what looks like a secret; again until nothing changes, because a rule can lay bare another."""
    cleaned = _once(text, secrets)
    return cleaned if cleaned == text or passes == 1 else _plain(cleaned, secrets, passes - 1)


def _once(text: str, secrets: list[str]) -> str:
    text = _DATA_URI.sub(rf"\g<head>{HIDDEN}", text)
    text = _SHAPES.sub(HIDDEN, text)
    text = _BEARER.sub(rf"\g<scheme> {HIDDEN}", text)
    return redact(text, secrets)


# Replay records: writing and reading them (replay §1). Called by `client.replay`. Needs no socket.


def write_record(record: Any) -> Flow[ReplayWriteResult]:
    """Keep a record."""
    call = write_call(record)
    return read_write(call, (yield from request(call)))


def write_run(record: RunRecord) -> Flow[ReplayWriteResult]:
    """Keep a record that was made here, without secrets, those of this client first of all."""
    secrets = yield from change(lambda state, _: state.credentials.secrets)
    return (yield from write_record(redact_run_record(record, secrets=secrets)))


def list_records(limit: int | None) -> Flow[ReplayRecords]:
    """The records of the account."""
    call = list_call(limit)
    return read_list(call, (yield from request(call)))


def get_record(run_id: str) -> Flow[ReplayRecord]:
    """A whole record."""
    call = get_call(run_id)
    return read_record(call, (yield from request(call)), run_id)
