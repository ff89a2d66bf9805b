"""Decompressing the body of an answer, in pieces of bounded size.

Both front ends receive bodies as they were sent and decode them here. The libraries would decode a whole chunk at once,
and a few megabytes can become gigabytes that way. Only what `ACCEPTED` names is decoded: nothing else was requested.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from html import unescape
from http.client import responses
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

from attrs import evolve, field, frozen

from sogni.core.credentials import date_of
from sogni.core.failures import api_error
from sogni.errors import Phase, ProtocolError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.models.converter import read
from sogni.redaction import (
    HIDDEN,
    SHORTEST_SECRET,
    SecretUrl,
    may_hold_secrets,
    redact,
    with_secrets_hidden,
    without_tokens,
)
from sogni.settings import MAX_REPLY_SIZE, TRANSFER_CHUNK, Settings, Timeouts

ACCEPTED = "gzip, deflate"
"""The value of `Accept-Encoding`."""
_NONE = ("", "identity")
_GZIP = ("gzip", "x-gzip")
_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_DEFLATE_METHOD = 8
_GZIP_MAGIC = 0x1F
_SHOWN_BYTES = 40


class ContentDecoder:
    """Decodes one body. `encoding` is its `Content-Encoding`; `host` is named when that is not supported."""

    def __init__(self, encoding: str | None, host: str) -> None:
        name = (encoding or "").strip().lower()
        if name not in (*_NONE, *_GZIP, "deflate"):
            raise ProtocolError(
                f"the content encoding of an answer of {host} must be one of {ACCEPTED}, got {name[:_SHOWN_BYTES]!r}"
            )
        self.plain: bool = name in _NONE
        """Whether the body is as it was sent, so that `feed` gives back what it gets."""
        self._gzip = name in _GZIP
        self._inflater: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded pieces that these bytes bring. Raises zlib.error if they are damaged."""
        if self.plain:
            yield data
            return
        while data:
            if self._inflater is None:
                self._inflater = self._begun(data)
            elif self._inflater.eof:
                if not self._gzip or data[0] != _GZIP_MAGIC:
                    return  # padding
                self._inflater = self._begun(data)  # a gzip body may have several members
            piece = self._inflater.decompress(data, TRANSFER_CHUNK)
            if piece:
                yield piece
            data = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail

    def end(self) -> None:
        """The body has ended. Raises zlib.error if its content is incomplete."""
        if self._inflater is not None and not self._inflater.eof:
            raise zlib.error("incomplete")

    def _begun(self, data: bytes) -> zlib._Decompress:
        if self._gzip:
            return zlib.decompressobj(_GZIP_WINDOW)
        # Some hosts send deflate with the header that it should have, others without.
        return zlib.decompressobj(_ZLIB_WINDOW if data[0] & 0x0F == _DEFLATE_METHOD else _RAW_WINDOW)


# REST calls as values: decides what a call looks like and what its answer means.
#
# Called by the flows. It never sends anything; the shells do.


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


# The way of one HTTP call: decides its address, how long it may take and where a redirect may lead.
#
# Called by the shells, which follow redirects by hand: the libraries would take credentials along to another
# origin. It sends nothing.


_AT_ONCE = 0.01
"""Seconds that count as no wait, so that messages name the limit as it was given."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
PROXY_LOGIN = 407
_SHOWN = 100
"""Characters of an unusable URL that its error quotes."""

_KEPT = "!#$%&'()*+,/:;=?@[]~"
"""What stays in an address; anything else that is no letter or digit is percent-encoded."""


class Route:
    """Where a call is sent now, from its first address over all redirects.

    `method` and `url` are those of the next request; credentials go along while `with_credentials` says so.
    """

    def __init__(self, call: HttpCall, settings: Settings) -> None:
        self._call = call
        self.method: str = call.method
        self.url: SecretUrl = SecretUrl(_quoted(_checked(_address(call, settings))))
        self._home = _origin(self.url)
        self._hops = 0

    @property
    def with_credentials(self) -> bool:
        """Whether the next request may say who asks: only to the host the call is meant for."""
        return self._call.host != "storage" and not self._call.anonymous and _origin(self.url) == self._home

    @property
    def host(self) -> str:
        """Host and port, as they may stand in a message."""
        return shown_host(self.url)

    def follow(self, status: int, location: str | None, *, streamed: bool) -> bool:
        """Take an answer into account; True when another request is to follow.

        A body that is streamed is not sent twice, and none is sent to another origin: SogniConnectionError.
        """
        if status not in REDIRECTS or not location or not self._call.redirects:
            return False
        if self._hops == MOST_REDIRECTS:
            raise SogniConnectionError(f"{self.host} redirects too often")
        try:
            target = _checked(urljoin(self.url, location))
            origin = _origin(target)
        except (ValueError, ProtocolError):
            raise SogniConnectionError(f"{self.host} redirects to what is no address") from None
        if streamed or (self._call.body is not None and origin != self._home):
            raise SogniConnectionError(f"{self.host} redirects a {self.method} elsewhere; not followed")
        self._hops += 1
        if status == 303:
            self.method = "GET"
        self.url = SecretUrl(_quoted(target))
        return True


def _quoted(url: str) -> str:
    # A lone surrogate is no character, and so in no address; the service does not know what it was to name.
    return quote(url, safe=_KEPT, errors="surrogatepass")


def _address(call: HttpCall, settings: Settings) -> str:
    if call.host == "storage":
        return call.path
    base = settings.rest_endpoint if call.host == "rest" else settings.socket_http
    # With the slash: what a path begins with must not become part of the host.
    return base + call.target if call.target.startswith("/") else f"{base}/{call.target}"


def _checked(url: str) -> str:
    """The URL, if a request can be sent to it; the service owns those of media, and may send anything."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        shown = redact(url.partition("?")[0][:_SHOWN])
        raise ProtocolError(f"a URL to fetch must start with https:// or http:// and name a host, got {shown!r}")
    return url


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def shown_host(url: str) -> str:
    """Host, and port if given, of an address: all of it that may stand in a message."""
    return urlsplit(url).netloc.rpartition("@")[2]


def told_too_long(call: HttpCall, length: str | None) -> bool:
    """Whether a body is announced as longer than it may be, so that none of it is read."""
    return call.most_bytes is not None and length is not None and length.isdecimal() and int(length) > call.most_bytes


def most_bytes_of(call: HttpCall, *, encoded: bool) -> int | None:
    """How long a body that is kept in memory may be once decoded; None for media that is sent as it is."""
    if call.most_bytes is not None:
        return call.most_bytes
    return None if call.host == "storage" and not encoded else MAX_REPLY_SIZE


def too_long(call: HttpCall, url: str) -> ProtocolError:
    """The error of an ordinary answer that exceeds every measure."""
    return ProtocolError(
        f"{call.method} {shown_host(url)}{urlsplit(url).path}: "
        f"the answer must be at most {MAX_REPLY_SIZE} bytes once decompressed, got more"
    )


def limit_of(call: HttpCall, timeouts: Timeouts) -> float:
    """Seconds a whole call may take."""
    if call.timeout is not None:
        return call.timeout
    return timeouts.transfer if call.host == "storage" else timeouts.request


def phase_of(call: HttpCall) -> Phase:
    """What was under way when the time of a call ran out."""
    return "transfer" if call.host == "storage" else "request"


def no_answer(call: HttpCall, url: str, limit: float, via: str = "") -> SogniTimeoutError:
    """The error of a call that was not answered in time; `via` names the proxy."""
    return SogniTimeoutError(
        f"{call.method} {shown_host(url)}{urlsplit(url).path}{via}: no answer within {limit:g} seconds",
        phase=phase_of(call),
        timeout=limit,
    )


def is_transfer(call: HttpCall) -> bool:
    """Whether a call moves media, which may take minutes, and not a short answer of the service."""
    return call.host == "storage"


def max_transfers(max_connections: int) -> int:
    """How many of a client's connections transfers may hold; the others stay free for short requests."""
    return max(1, max_connections - max(1, max_connections // 4))


def with_time_left(call: HttpCall, waited: float) -> HttpCall:
    """The call after it has waited for a free connection: a time limit of its own includes the wait."""
    if call.timeout is None or waited < _AT_ONCE:
        return call
    return evolve(call, timeout=max(0.0, call.timeout - waited))


def no_free_connection(call: HttpCall, settings: Settings) -> SogniTimeoutError:
    """The error of a call that found no free connection within its own time limit."""
    return SogniTimeoutError(
        f"{call.method} {call.path.partition('?')[0]}: all {settings.max_connections} connections were in use for "
        f"{call.timeout:g} seconds; a higher max_connections allows more",
        phase=phase_of(call),
        timeout=call.timeout,
    )


def no_connection(url: str, limit: float, via: str = "") -> SogniTimeoutError:
    """The error of a call whose host could not be connected to in time."""
    return SogniTimeoutError(
        f"cannot connect to {shown_host(url)}{via} within {limit:g} seconds", phase="connect", timeout=limit
    )


def unreachable(url: str, via: str, cause: str) -> SogniConnectionError:
    """The error of a call that failed before it was answered, or whose answer broke off."""
    return SogniConnectionError(f"cannot reach {shown_host(url)}{via}: {cause}")


def check_proxy_answer(url: str, via: str, status: int) -> None:
    """Raise SogniConnectionError if an answer is a proxy's request for a login, which no service sends."""
    if via and status == PROXY_LOGIN:
        raise unreachable(url, via, f"the proxy answered with HTTP {status}")
