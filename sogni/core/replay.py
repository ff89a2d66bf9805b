"""Replay records: their requests, recording of runs, and redaction."""

# Replay §1 to §3

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from attrs import define, field

from sogni.core import checks
from sogni.core.checks import extra_fields, json_object, path_segment
from sogni.core.flow import Flow, change
from sogni.core.http import HttpCall, HttpReply, get, post
from sogni.core.requests import request
from sogni.core.workflows.templates import members_of, missing_member
from sogni.errors import brief
from sogni.models.base import Model
from sogni.models.chat import ChatCompletionResult
from sogni.models.converter import read, read_time, snake, to_dict, wire_form
from sogni.models.replay import ReplayRecord, ReplayRecords, ReplayRecordSummary, ReplayWriteResult, RunRecord
from sogni.redaction import HIDDEN, redact

RECORDS = "/v1/replay/records"


def write_call(record: Any) -> HttpCall:
    """Return the request to store a record. Raises `ValidationError` if JSON cannot represent it."""
    plain = json_object("record", record if isinstance(record, Mapping) else wire_form(RunRecord, record))
    checks.reject_none_items("record.rounds", plain.get("rounds"))
    return post(RECORDS, plain)


def list_call(limit: Any) -> HttpCall:
    """Return the request for a list of records; a limit of 0 or less means none."""
    limit = checks.optional(checks.integer, "limit", limit)
    return get(RECORDS, limit=limit if limit is not None and limit > 0 else None)


def get_call(run_id: Any) -> HttpCall:
    """Return the request for a record."""
    return get(f"{RECORDS}/{path_segment('run_id', run_id)}")


_OF_WRITE = frozenset({"status", "runId", "schemaVersion", "redacted", "createTime", "updateTime"})
_OF_LIST = frozenset({"status", "records"})
_OF_RECORD = frozenset({"status", "record", "createTime"})


def read_write(call: HttpCall, reply: HttpReply) -> ReplayWriteResult:
    """Return the stored record; raises `ApiError` with status 500 if the response does not contain it."""
    found = members_of(call, reply)
    run_id, version = found.get("runId"), found.get("schemaVersion")
    if not isinstance(run_id, str):
        raise missing_member(call, "runId")
    return ReplayWriteResult(
        run_id=run_id,
        schema_version=_version(version),
        redacted=found.get("redacted") is True,
        create_time=_time(found.get("createTime")),
        update_time=_time(found.get("updateTime")),
        extra=extra_fields(found, _OF_WRITE),
    )


def read_list(call: HttpCall, reply: HttpReply) -> ReplayRecords:
    """Return the records in a list; malformed entries are omitted."""
    found = members_of(call, reply)
    listed = found.get("records")
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    return ReplayRecords(
        records=[read(ReplayRecordSummary, entry, "a record in a list") for entry in entries],
        extra=extra_fields(found, _OF_LIST),
    )


def read_record(call: HttpCall, reply: HttpReply, run_id: str) -> ReplayRecord:
    """Return a record; raises `ApiError` with status 500 if there is none."""
    found = members_of(call, reply)
    record = found.get("record")
    if not isinstance(record, Mapping):
        raise missing_member(call, "record")
    whole = record if isinstance(record.get("run_id"), str) else {**record, "run_id": run_id}
    source = f"the response to {call.method} {call.path}"
    return ReplayRecord(
        record=read(RunRecord, whole, source),
        create_time=_time(found.get("createTime")),
        extra=extra_fields(found, _OF_RECORD),
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


# Recording. Secrets are removed later. The entries of `rounds` are this package's own: the service stores any.


SCHEMA_VERSION = 2


@define(eq=False)
class Turn:
    """One request to a model: its messages and its answer, a stream that may still run, or an error."""

    model_id: str | None = None
    messages: Sequence[Any] = ()
    answer: Any = None
    error: Mapping[str, str] | None = None
    executed: Sequence[Any] = ()
    """The tool rounds before the error."""

    def fail(self, error: BaseException) -> None:
        """Record the error."""
        self.error = error_record(error)
        self.executed = getattr(error, "tool_history", ())

    @property
    def result(self) -> Any:
        """The answer; for a stream its final result, or the stream itself while it runs."""
        whole = getattr(self.answer, "final_result", None)
        return self.answer if whole is None else whole


@define(eq=False)
class RunNotes:
    """The notes recorded so far."""

    run_id: str
    session_id: str | None = None
    account_id: str | None = None
    turns: list[Turn] = field(factory=list)
    error: Mapping[str, str] | None = None

    def begin(self, model_id: str | None, messages: Any) -> Turn:
        """Record a request before it is sent."""
        listed = isinstance(messages, Sequence) and not isinstance(messages, str | bytes)
        turn = Turn(model_id, [to_dict(it) for it in messages] if listed else ())
        self.turns.append(turn)
        return turn

    def fail(self, error: BaseException) -> None:
        """Record that the whole run ended with an error."""
        self.error = error_record(error)

    def record(self) -> RunRecord:
        """Return the current record, including secrets."""
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


def error_record(error: BaseException) -> dict[str, str]:
    """Return an error as recorded."""
    return {"type": type(error).__name__, "message": redact(str(error))}


def _request(messages: Sequence[Any]) -> str | None:
    """Return the text of the user's last message."""
    contents = [it.get("content") for it in messages if isinstance(it, Mapping) and it.get("role") == "user"]
    content = contents[-1] if contents else None
    if isinstance(content, list | tuple):
        content = "\n".join(part["text"] for part in content if isinstance(part, Mapping) and "text" in part)
    return content if isinstance(content, str) else None


def _rounds(turn: Turn) -> Iterator[dict[str, Any]]:
    """Yield the rounds of tool calls, then the answer; the first one includes the request."""
    request: dict[str, Any] = {"messages": list(turn.messages)} if turn.messages else {}
    named = {} if turn.model_id is None else {"model_id": turn.model_id}
    for entry in getattr(turn.result, "tool_history", None) or turn.executed:
        yield {**named, **request, **_tools(entry)}
        request = {}
    outcome = {"error": turn.error} if turn.error is not None else _answer(turn.result)
    yield {**named, **request, **outcome}


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
    """Return an answer as recorded: its text if it has one, otherwise all of it."""
    content = getattr(result, "content", None)
    if not isinstance(content, str):
        return {} if result is None else {"response": to_dict(result)}
    facts = {"content": content, "finish_reason": getattr(result, "finish_reason", None)}
    calls = getattr(result, "tool_calls", None)
    return {name: to_dict(value) for name, value in {**facts, "tool_calls": calls or None}.items() if value is not None}


# Redaction, by key names and by the shape of strings, at any depth and also in JSON within strings


R = TypeVar("R", RunRecord, Mapping[str, Any])

MAX_DEPTH = 60
"""Maximum nesting; deeper values are removed, because they are not inspected."""

MAX_PASSES = 20
"""More passes than any string needs; a limit, so that none can block the program."""

_SECRET_NAME = re.compile(
    r"(?!(?:time|key)_signature$)(?:.*_)?(?:api_?keys?|authorization|auth|bearer|(?:access|refresh|id|auth|api|session|security|csrf|bot|device)_token"
    r"|jwt|passwords?|passwd|passphrase|secrets?|client_secret|(?:private|secret|signing|access|encryption)_keys?"
    r"|access_key_id|awsaccesskeyid|signature|sig|cookies?|credentials?|mnemonic|seed_phrase)|token|x_amz_.+"
)
_TOKEN_TYPES = ("spark", "sogni")
"""Values of the key `token` that are token types, not secrets."""

_WORDS = re.compile(r"[^a-z0-9]+")
_DATA_URI = re.compile(r"(?i)(?P<head>\bdata:[\w.+-]*(?:/[\w.+-]+)?(?:;[\w.+=-]+)*,)[^\s\"'<>()\\]+")
_SHAPES = re.compile(
    r"""(?x)
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \b0x[0-9a-fA-F]{64}\b                            # a wallet key
    | \b(?:sk|pk|rk)[-_](?:[A-Za-z0-9]+[-_])*[A-Za-z0-9]{16,}  # keys by prefix
    | \bgh[a-z]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{16,} | \bhf_[A-Za-z0-9]{20,}
    | \bxox[a-z]-[A-Za-z0-9-]{10,} | \bAIza[\w-]{30,} | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | (?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{256,}={0,2}  # encoded bytes
    """,
    re.DOTALL,
)
_BEARER = re.compile(r"(?i)\b(?P<scheme>bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}")


def redact_run_record(record: R, *, secrets: Iterable[str] = ()) -> R:
    """Return a run record without keys, tokens, passwords, signed queries and embedded media.

    The given record is not changed, and a redacted record stays the same. Secrets are replaced by `***`: values of keys
    like `apiKey`, `authorization` and `x-amz-signature`; in strings, and in JSON within strings, whatever looks like a
    key, a token or encoded bytes; the content of `data:` URIs; and queries of URLs.

    Args:
        record: A `RunRecord` or a dict.
        secrets: Further values to remove wherever they appear.

    Returns:
        The redacted record, of the same type.

    Example:

        >>> from sogni import redact_run_record
        >>> redact_run_record({"run_id": "r1", "rounds": [{"url": "https://h.example/a.png?X-Amz-Signature=5ab3"}]})
        {'run_id': 'r1', 'rounds': [{'url': 'https://h.example/a.png?***'}]}
    """
    known = [it for it in secrets if it]
    if not isinstance(record, RunRecord | Mapping):
        raise brief(TypeError(f"record must be a RunRecord or a dict, got {type(record).__name__}"))
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
    if depth > MAX_DEPTH:
        return HIDDEN
    if isinstance(value, Mapping):
        shown = [(_plain(key, secrets) if isinstance(key, str) else key, item) for key, item in value.items()]
        return {key: _named(key, item, secrets, depth + 1) for key, item in shown}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, secrets, depth + 1) for item in value]
    return HIDDEN if isinstance(value, bytes | bytearray | memoryview) else value


def _named(key: Any, value: Any, secrets: list[str], depth: int) -> Any:
    """Redact the value of a key; all of it if the name indicates a secret."""
    name = _WORDS.sub("_", snake(key)).strip("_") if isinstance(key, str) else ""
    if value is None or isinstance(value, bool) or not _SECRET_NAME.fullmatch(name):
        return _clean(value, secrets, depth)
    if name.endswith("token") and (isinstance(value, int | float) or value in _TOKEN_TYPES):
        return value
    return HIDDEN


def _text(text: str, secrets: list[str], depth: int) -> str:
    stripped = text.strip()
    if stripped[:1] in ("{", "[") and depth <= MAX_DEPTH:
        try:
            value = json.loads(stripped)
        except (ValueError, RecursionError):
            return _plain(text, secrets)
        cleaned = _clean(value, secrets, depth + 1)
        return text if cleaned == value else json.dumps(cleaned, ensure_ascii=False)
    return _plain(text, secrets)


def _plain(text: str, secrets: list[str], passes: int = MAX_PASSES) -> str:
    """Redact a string until nothing changes, because one rule can expose a match of another."""
    cleaned = _once(text, secrets)
    return cleaned if cleaned == text or passes == 1 else _plain(cleaned, secrets, passes - 1)


def _once(text: str, secrets: list[str]) -> str:
    text = _DATA_URI.sub(rf"\g<head>{HIDDEN}", text)
    text = _SHAPES.sub(HIDDEN, text)
    text = _BEARER.sub(rf"\g<scheme> {HIDDEN}", text)
    return redact(text, secrets)


# Flows


def write_record(record: Any) -> Flow[ReplayWriteResult]:
    """Store a record."""
    call = write_call(record)
    return read_write(call, (yield from request(call)))


def write_run(record: RunRecord) -> Flow[ReplayWriteResult]:
    """Store a recorded run without secrets, especially those of this client."""
    secrets = yield from change(lambda state, _: state.session.credentials.secrets)
    return (yield from write_record(redact_run_record(record, secrets=secrets)))


def list_records(limit: int | None) -> Flow[ReplayRecords]:
    """List the account's records."""
    call = list_call(limit)
    return read_list(call, (yield from request(call)))


def get_record(run_id: str) -> Flow[ReplayRecord]:
    """Fetch a record."""
    call = get_call(run_id)
    return read_record(call, (yield from request(call)), run_id)
