"""REST calls as values: decides what a call looks like and what its answer means.

Called by the flows. It never sends anything; the shells do.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from html import unescape
from http.client import responses
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

from attrs import evolve, field, frozen

from ..errors import ProtocolError, SogniError
from ..models.converter import read
from ..redaction import HIDDEN, SHORTEST_SECRET, may_hold_secrets, with_secrets_hidden, without_tokens
from .failures import api_error
from .service_clock import date_of

Host = Literal["rest", "socket", "storage"]
T = TypeVar("T")

NO_CONTENT = 204
_MAX_SECONDS = 2**53 - 1
_MESSAGE_LIMIT, _EXCERPT_LIMIT = 500, 200
_STORAGE_FIELD = re.compile(r"<(Code|Message)>([^<]*)</\1>")


@frozen(kw_only=True)
class HttpCall:
    """One request. `host` chooses the base address; for `storage`, `path` is the whole signed address.

    `repeatable` says that sending it twice does no harm, so that it may be retried.
    """

    method: str
    path: str = field(repr=lambda path: repr(path.partition("?")[0]))
    host: Host = "rest"
    query: tuple[tuple[str, str], ...] = ()
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    repeatable: bool = False
    anonymous: bool = False
    """Whether it goes without credentials."""
    timeout: float | None = None
    redirects: bool = True
    """Whether a redirect is followed; else it is the answer."""
    most_bytes: int | None = None
    """How long a body may be; of one that is longer the rest is not read."""
    operation: str | None = None
    """The id of the operation that it begins, empty for one without: with it goes who or what asks (transport §14)."""

    @property
    def target(self) -> str:
        """Path and query, as they stand after the base address.

        Half a surrogate pair, which an id from JSON may hold, travels as the three bytes that it would be.
        """
        return f"{self.path}?{urlencode(self.query, errors='surrogatepass')}" if self.query else self.path


@frozen(kw_only=True)
class HttpReply:
    """One answer: status, headers with lower-case names, the whole body."""

    status: int
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    url: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """Whether the service says that it worked (2xx)."""
        return 200 <= self.status < 300

    def without(self, secrets: Iterable[str]) -> HttpReply:
        """The same answer without `secrets`: a refusal may quote the key that it refuses."""
        body = self.body
        for known in secrets:
            if len(known) >= SHORTEST_SECRET:
                body = body.replace(known.encode(), HIDDEN.encode())
        return evolve(self, body=body)


def query(**values: Any) -> tuple[tuple[str, str], ...]:
    """Query pairs in order; what is None is left out (transport §3, 5.x)."""
    return tuple((name, _as_text(value)) for name, value in values.items() if value is not None)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, float) else str(value)


def number_text(value: float) -> str:
    """A number as JavaScript writes it: `512`, `0.30000000000000004`, `0.00001`, `1e-7`; no trailing `.0`."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    # Subclasses, as those of numpy, have other words for themselves.
    text = float.__repr__(value) if isinstance(value, float) else repr(value)
    if "e-" not in text:
        return text
    return format(Decimal(text), "f") if abs(value) >= 1e-6 else text.replace("e-0", "e-")


def get(path: str, *, host: Host = "rest", **values: Any) -> HttpCall:
    """A GET, which is always safe to repeat."""
    return HttpCall(method="GET", path=path, host=host, query=query(**values), repeatable=True)


def post(path: str, body: Any = None, *, host: Host = "rest", **options: Any) -> HttpCall:
    """A POST with a JSON body, `{}` when there is none (transport §3)."""
    return HttpCall(method="POST", path=path, host=host, body={} if body is None else body, **options)


def json_of(call: HttpCall, reply: HttpReply) -> Any:
    """The JSON of a successful answer, None for an empty one; raises for everything else.

    Raises the `ApiError` of the status, or `ProtocolError` when a success cannot be read (transport §4.3).
    """
    if not reply.ok:
        raise error_of(call, reply)
    if not reply.body.strip():
        return None
    try:
        return json.loads(reply.body, object_hook=with_secrets_hidden if may_hold_secrets(reply.body) else None)
    except (ValueError, RecursionError):
        pass
    # Outside the handler: the library's error holds the body.
    raise ProtocolError(f"{call.method} {call.path}: HTTP {reply.status} with a body that is not JSON")


def data_of(call: HttpCall, reply: HttpReply) -> Any:
    """The `data` of an enveloped answer (transport §4.1)."""
    body = json_of(call, reply)
    if not isinstance(body, dict) or "data" not in body:
        raise ProtocolError(f"{call.method} {call.path}: the answer has no data")
    return body["data"]


def read_data(cls: type[T], call: HttpCall, reply: HttpReply) -> T:
    """The enveloped answer as a data class."""
    return read(cls, data_of(call, reply), f"the answer to {call.method} {call.path}")


def read_bare(cls: type[T], call: HttpCall, reply: HttpReply) -> T:
    """The bare JSON answer of the socket host as a data class."""
    return read(cls, json_of(call, reply), f"the answer to {call.method} {call.path}")


def error_of(call: HttpCall, reply: HttpReply, now: datetime | None = None) -> SogniError:
    """The error for an answer that is no success; never loses the HTTP status (transport §4.2, §4.3)."""
    payload = _payload(reply)
    code = payload.get("errorCode", payload.get("error_code"))
    message = payload.get("message") or payload.get("error_message")
    if isinstance(payload.get("error"), dict):
        message = message or payload["error"].get("message")
        code = code if code is not None else payload["error"].get("code")
    elif isinstance(payload.get("error"), str):
        message = message or payload["error"]
    return api_error(
        reply.status,
        message if isinstance(message, str) and message else f"HTTP {reply.status}",
        error_code=code if isinstance(code, int | str) and not isinstance(code, bool) else None,
        payload=payload,
        retry_after=retry_after(payload, reply.headers, now or _answered_at(reply)),
        method=call.method,
        url=reply.url,
    )


def _answered_at(reply: HttpReply) -> datetime:
    """When an answer was given, by the clock of whoever gave it: what it says of other times is measured by that."""
    date = date_of(reply.headers)
    return datetime.now(UTC) if date is None else datetime.fromtimestamp(date, UTC)


def _payload(reply: HttpReply) -> dict[str, Any]:
    # A refusal may quote what was sent, and an error is logged, reported and pickled.
    text = without_tokens(reply.body.decode("utf-8-sig", "replace"))
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    return {"status": "error", "errorCode": reply.status, "message": _sentence(text, reply.status)}


def _sentence(text: str, status: int) -> str:
    """The message of an error body that is no JSON object (transport §4.3)."""
    reason = responses.get(status) or f"HTTP {status}"
    text = " ".join(text.split())
    if not text:
        return reason
    if text.startswith("<"):
        fields = dict(_STORAGE_FIELD.findall(text))
        if "Code" in fields:
            # What else storage says quotes the request: key id, signature, and what was signed.
            text = unescape(": ".join(fields.values()))
        return f"{reason}: {text[:_EXCERPT_LIMIT]}"
    return text if len(text) <= _MESSAGE_LIMIT else text[:_MESSAGE_LIMIT] + "…"


def retry_after(payload: Mapping[str, Any], headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait before the next try; the body outranks the header (transport §4.2)."""
    given = payload.get("retryAfter")
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= _MAX_SECONDS:
        return given
    header = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+", header, re.ASCII):
        digits = header.lstrip("0") or "0"
        return int(digits) if len(digits) <= 16 and int(digits) <= _MAX_SECONDS else None
    if not (re.search("[A-Za-z]{3}", header) and re.search(r"\d\d:\d\d:\d\d", header)):
        return None
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, math.ceil((moment - now).total_seconds()))
