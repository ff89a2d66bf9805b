"""HTTP calls and replies as values: decoding and parsing of bodies, redirects, limits and errors.

Both front ends receive bodies as they were sent and decode them here, in pieces of bounded size. The HTTP libraries
would decode a whole chunk at once, and a few megabytes can expand to gigabytes that way. Redirects are followed by
hand as well, because the libraries would send credentials to another origin.
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
from sogni.settings import MAX_REPLY_SIZE, TRANSFER_CHUNK, VERSION, Attribution, Settings, Timeouts

ACCEPTED = "gzip, deflate"
"""The value of `Accept-Encoding`."""
USER_AGENT = f"sogni-python/{VERSION}"
"""The value of `User-Agent`, also of the WebSocket handshake."""
STANDARD_HEADERS = {"Accept-Encoding": ACCEPTED, "User-Agent": USER_AGENT}
_NONE = ("", "identity")
_GZIP = ("gzip", "x-gzip")
_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_DEFLATE_METHOD = 8
_GZIP_MAGIC = 0x1F
_SHOWN_BYTES = 40


class ContentDecoder:
    """Decodes one body. `encoding` is its `Content-Encoding`; `host` appears in the error for an unsupported one."""

    def __init__(self, encoding: str | None, host: str) -> None:
        name = (encoding or "").strip().lower()
        if name not in (*_NONE, *_GZIP, "deflate"):
            raise ProtocolError(
                f"the content encoding of a response from {host} must be one of {ACCEPTED}, got {name[:_SHOWN_BYTES]!r}"
            )
        self.plain: bool = name in _NONE
        """Whether the body needs no decoding, so that `feed` returns its input."""
        self._gzip = name in _GZIP
        self._inflater: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces of these bytes. Raises zlib.error if the content is damaged."""
        if self.plain:
            yield data
            return
        while data:
            if self._inflater is None:
                self._inflater = self._new_inflater(data)
            elif self._inflater.eof:
                if not self._gzip or data[0] != _GZIP_MAGIC:
                    return  # padding
                self._inflater = self._new_inflater(data)  # a gzip body may have several members
            piece = self._inflater.decompress(data, TRANSFER_CHUNK)
            if piece:
                yield piece
            data = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail

    def end(self) -> None:
        """Finish the body. Raises zlib.error if its content is incomplete."""
        if self._inflater is not None and not self._inflater.eof:
            raise zlib.error("incomplete")

    def _new_inflater(self, data: bytes) -> zlib._Decompress:
        if self._gzip:
            return zlib.decompressobj(_GZIP_WINDOW)
        # Some hosts send deflate with the required zlib header, others without.
        return zlib.decompressobj(_ZLIB_WINDOW if data[0] & 0x0F == _DEFLATE_METHOD else _RAW_WINDOW)


# Calls and replies


Host = Literal["rest", "socket", "storage"]
T = TypeVar("T")

NO_CONTENT = 204
_MAX_SECONDS = 2**53 - 1
_MESSAGE_LIMIT, _EXCERPT_LIMIT = 500, 200
_STORAGE_FIELD = re.compile(r"<(Code|Message)>([^<]*)</\1>")


@frozen(kw_only=True)
class HttpCall:
    """One request. `host` selects the base URL; for `storage`, `path` is the whole signed URL.

    `repeatable` calls may be retried, because sending them twice does no harm.
    """

    method: str
    path: str = field(repr=lambda path: repr(path.partition("?")[0]))
    host: Host = "rest"
    query: tuple[tuple[str, str], ...] = ()
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    repeatable: bool = False
    anonymous: bool = False
    """Whether the request is sent without credentials."""
    timeout: float | None = None
    redirects: bool = True
    """Whether redirects are followed; otherwise the redirect itself is the reply."""
    max_bytes: int | None = None
    """Maximum length of the body in bytes; the rest of a longer body is not read."""
    operation: str | None = None
    """Id of the operation this call begins, empty if it has none; attribution headers are sent with it."""
    attribution: Attribution | None = None
    """Attribution of this call, which takes precedence over that of the client."""
    context: Any = field(default=None, eq=False, repr=False)
    """What the request belongs to, for an observer; None for that of the thread or task that sends it."""

    @property
    def target(self) -> str:
        """Path and query, as appended to the base URL.

        A lone surrogate, which an id from JSON may contain, is encoded as its three bytes.
        """
        return f"{self.path}?{urlencode(self.query, errors='surrogatepass')}" if self.query else self.path


@frozen(kw_only=True)
class HttpReply:
    """One reply: status, headers with lower-case names, and the whole body."""

    status: int
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    url: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def without(self, secrets: Iterable[str]) -> HttpReply:
        """Return the reply with `secrets` redacted: an error may quote the key it rejects."""
        body = self.body
        for known in secrets:
            if len(known) >= SHORTEST_SECRET:
                body = body.replace(known.encode(), HIDDEN.encode())
        return evolve(self, body=body)


def query(**values: Any) -> tuple[tuple[str, str], ...]:
    """Return query pairs in order, omitting None."""
    return tuple((name, _as_text(value)) for name, value in values.items() if value is not None)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, float) else str(value)


def number_text(value: float) -> str:
    """Format a number as JavaScript does: `512`, `0.30000000000000004`, `0.00001`, `1e-7`; no trailing `.0`."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    # Subclasses such as numpy's have a different repr.
    text = float.__repr__(value) if isinstance(value, float) else repr(value)
    if "e-" not in text:
        return text
    return format(Decimal(text), "f") if abs(value) >= 1e-6 else text.replace("e-0", "e-")


def get(path: str, *, host: Host = "rest", **values: Any) -> HttpCall:
    """Return a GET call, which is always safe to repeat."""
    return HttpCall(method="GET", path=path, host=host, query=query(**values), repeatable=True)


def post(path: str, body: Any = None, *, host: Host = "rest", **options: Any) -> HttpCall:
    """Return a POST call with a JSON body, `{}` by default."""
    return HttpCall(method="POST", path=path, host=host, body={} if body is None else body, **options)


def json_of(call: HttpCall, reply: HttpReply) -> Any:
    """Return the JSON of a successful reply, None if it is empty.

    Raises the `ApiError` for the status, or `ProtocolError` if a successful reply is malformed.
    """
    if not reply.ok:
        raise error_of(call, reply)
    if not reply.body.strip():
        return None
    try:
        return json.loads(reply.body, object_hook=with_secrets_hidden if may_hold_secrets(reply.body) else None)
    except (ValueError, RecursionError):
        pass
    # Outside the handler: the library's error contains the body.
    raise ProtocolError(f"{call.method} {call.path}: HTTP {reply.status} with a body that is not JSON")


def data_of(call: HttpCall, reply: HttpReply) -> Any:
    """Return the `data` of an enveloped reply."""
    body = json_of(call, reply)
    if not isinstance(body, dict) or "data" not in body:
        raise ProtocolError(f"{call.method} {call.path}: the response has no data")
    return body["data"]


def read_data(cls: type[T], call: HttpCall, reply: HttpReply) -> T:
    """Return the `data` of an enveloped reply as a data class."""
    return read(cls, data_of(call, reply), f"the response to {call.method} {call.path}")


def read_unwrapped(cls: type[T], call: HttpCall, reply: HttpReply) -> T:
    """Return the JSON of a reply without an envelope as a data class."""
    return read(cls, json_of(call, reply), f"the response to {call.method} {call.path}")


def error_of(call: HttpCall, reply: HttpReply, now: datetime | None = None) -> SogniError:
    """Return the error for an unsuccessful reply; it always carries the HTTP status."""
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
    """Return when a reply was sent, by the server's clock, which its other times refer to."""
    date = date_of(reply.headers)
    return datetime.now(UTC) if date is None else datetime.fromtimestamp(date, UTC)


def _payload(reply: HttpReply) -> dict[str, Any]:
    # An error response may quote the request, and errors are logged, reported and pickled.
    text = without_tokens(reply.body.decode("utf-8-sig", "replace"))
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    return {"status": "error", "errorCode": reply.status, "message": _message(text, reply.status)}


def _message(text: str, status: int) -> str:
    """Return the message of an error body that is not a JSON object."""
    reason = responses.get(status) or f"HTTP {status}"
    text = " ".join(text.split())
    if not text:
        return reason
    if text.startswith("<"):
        fields = dict(_STORAGE_FIELD.findall(text))
        if "Code" in fields:
            # The other fields quote the request: key id, signature and the signed string.
            text = unescape(": ".join(fields.values()))
        return f"{reason}: {text[:_EXCERPT_LIMIT]}"
    return text if len(text) <= _MESSAGE_LIMIT else text[:_MESSAGE_LIMIT] + "…"


def retry_after(payload: Mapping[str, Any], headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds to wait before the next attempt; the body takes precedence over the header."""
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


# Routing and limits


_AT_ONCE = 0.01
"""Waits shorter than this many seconds are ignored, so that messages show the limit as it was given."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
PROXY_LOGIN = 407
_SHOWN = 100
"""Maximum number of characters of an invalid URL quoted in its error."""

_UNQUOTED = "!#$%&'()*+,/:;=?@[]~"
"""Characters that are kept in a URL; all others except letters and digits are percent-encoded."""


class Route:
    """Where a call is sent, from its first URL through all redirects.

    `method` and `url` are those of the next request; credentials are sent only while `with_credentials` is true.
    """

    def __init__(self, call: HttpCall, settings: Settings) -> None:
        self._call = call
        self.method: str = call.method
        self.url: SecretUrl = SecretUrl(_percent_encoded(_checked(_url(call, settings))))
        self._home = _origin(self.url)
        self._hops = 0

    @property
    def with_credentials(self) -> bool:
        """Whether the next request may carry credentials: only to the host the call is meant for."""
        return self._call.host != "storage" and not self._call.anonymous and _origin(self.url) == self._home

    @property
    def host(self) -> str:
        """Host and port, as shown in messages."""
        return host_and_port(self.url)

    def follow(self, status: int, location: str | None, *, streamed: bool) -> bool:
        """Process a reply; True if another request must follow.

        Raises `SogniConnectionError` instead of resending a streamed body or sending any body to another origin.
        """
        if status not in REDIRECTS or not location or not self._call.redirects:
            return False
        if self._hops == MAX_REDIRECTS:
            raise SogniConnectionError(f"{self.host} redirected more than {MAX_REDIRECTS} times")
        try:
            target = _checked(urljoin(self.url, location))
            origin = _origin(target)
        except (ValueError, ProtocolError):
            raise SogniConnectionError(f"{self.host} redirected to an invalid URL") from None
        if streamed or (self._call.body is not None and origin != self._home):
            raise SogniConnectionError(f"{self.host} redirected a {self.method} request to another host; not followed")
        self._hops += 1
        if status == 303:
            self.method = "GET"
        self.url = SecretUrl(_percent_encoded(target))
        return True


def _percent_encoded(url: str) -> str:
    # A lone surrogate is not a valid character in a URL; it is encoded so that the service can reject it.
    return quote(url, safe=_UNQUOTED, errors="surrogatepass")


def _url(call: HttpCall, settings: Settings) -> str:
    if call.host == "storage":
        return call.path
    base = settings.rest_endpoint if call.host == "rest" else settings.socket_http
    # The slash keeps the start of the path from becoming part of the host.
    return base + call.target if call.target.startswith("/") else f"{base}/{call.target}"


def _checked(url: str) -> str:
    """Return the URL if a request can be sent to it: URLs of media come from the service and may be malformed."""
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


def host_and_port(url: str) -> str:
    """Return host and port of a URL, the only parts that may appear in a message."""
    return urlsplit(url).netloc.rpartition("@")[2]


def announced_too_long(call: HttpCall, length: str | None) -> bool:
    """Whether the announced length exceeds the limit, so that the body is not read."""
    return call.max_bytes is not None and length is not None and length.isdecimal() and int(length) > call.max_bytes


def max_bytes_of(call: HttpCall, *, encoded: bool) -> int | None:
    """Return the maximum decoded length of a body kept in memory; None for media sent unencoded."""
    if call.max_bytes is not None:
        return call.max_bytes
    return None if call.host == "storage" and not encoded else MAX_REPLY_SIZE


def too_long(call: HttpCall, url: str) -> ProtocolError:
    """Return the error for a reply that exceeds the size limit."""
    return ProtocolError(
        f"{call.method} {host_and_port(url)}{urlsplit(url).path}: "
        f"the response must be at most {MAX_REPLY_SIZE} bytes once decompressed, got more"
    )


def limit_of(call: HttpCall, timeouts: Timeouts) -> float:
    """Return the time limit of a whole call in seconds."""
    if call.timeout is not None:
        return call.timeout
    return timeouts.transfer if call.host == "storage" else timeouts.request


def phase_of(call: HttpCall) -> Phase:
    """Return the phase reported when a call times out."""
    return "transfer" if call.host == "storage" else "request"


def no_response(call: HttpCall, url: str, limit: float, via: str = "") -> SogniTimeoutError:
    """Return the error for a call without a reply in time; `via` names the proxy."""
    return SogniTimeoutError(
        f"{call.method} {host_and_port(url)}{urlsplit(url).path}{via}: no response within {limit:g} seconds",
        phase=phase_of(call),
        timeout=limit,
    )


def is_transfer(call: HttpCall) -> bool:
    """Whether a call transfers media, which may take minutes."""
    return call.host == "storage"


def max_transfers(max_connections: int) -> int:
    """Return how many connections transfers may use; the rest stays free for short requests."""
    return max(1, max_connections - max(1, max_connections // 4))


def with_time_left(call: HttpCall, waited: float) -> HttpCall:
    """Return the call after a wait for a free connection; an explicit time limit includes the wait."""
    if call.timeout is None or waited < _AT_ONCE:
        return call
    return evolve(call, timeout=max(0.0, call.timeout - waited))


def no_free_connection(call: HttpCall, settings: Settings) -> SogniTimeoutError:
    """Return the error for a call that found no free connection within its time limit."""
    return SogniTimeoutError(
        f"{call.method} {call.path.partition('?')[0]}: all {settings.max_connections} connections were in use for "
        f"{call.timeout:g} seconds; raise max_connections to allow more",
        phase=phase_of(call),
        timeout=call.timeout,
    )


def no_connection(url: str, limit: float, via: str = "") -> SogniTimeoutError:
    """Return the error for a host that could not be connected to in time."""
    return SogniTimeoutError(
        f"cannot connect to {host_and_port(url)}{via} within {limit:g} seconds", phase="connect", timeout=limit
    )


def unreachable(url: str, via: str, cause: str) -> SogniConnectionError:
    """Return the error for a call that failed before its reply was complete."""
    return SogniConnectionError(f"cannot reach {host_and_port(url)}{via}: {cause}")


def check_proxy_reply(url: str, via: str, status: int) -> None:
    """Raise SogniConnectionError if a reply is a proxy's request for authentication."""
    if via and status == PROXY_LOGIN:
        raise unreachable(url, via, f"the proxy answered with HTTP {status}")
