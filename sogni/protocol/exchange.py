"""The way of one HTTP call: decides its address, how long it may take and where a redirect may lead.

Called by the shells, which follow redirects by hand: the libraries would take credentials along to another
origin. It sends nothing.
"""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit

from attrs import evolve

from ..errors import Phase, ProtocolError, SogniConnectionError, SogniTimeoutError
from ..redaction import SecretUrl, redact
from ..settings import MAX_REPLY_SIZE, Settings, Timeouts
from .http import HttpCall

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
        self.method = call.method
        self.url = SecretUrl(_quoted(_checked(_address(call, settings))))
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
