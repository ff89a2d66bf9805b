"""Redaction of secrets in messages, log records and representations.

Values that are sent stay unchanged; only what people read is redacted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

T = TypeVar("T")

HIDDEN = "***"
SHORTEST_SECRET = 4
"""Minimum length of a known secret to be redacted; shorter ones occur in ordinary text."""

_SECRET_NAMES = (
    r"api[-_]?key|authorization|access[-_]?token|refresh[-_]?token|token|password|passwd|secret|"
    r"signature|private[-_]?key|x-amz-[a-z-]+|awsaccesskeyid|sig"
)
# In the repr of a header block a name follows an escape sequence: `\\r\\napi-key`. The end of a path is not a name:
# `/v1/account/refresh-token: HTTP 500`.
_NAMED = re.compile(
    rf"""(?ix) (?P<name>(?:(?<!/)(?<!/refresh-)\b|(?<=\\[rnt]))(?:{_SECRET_NAMES})\b["']?\s*[:=]\s*)"""
    r"""(?: (?P<quote>b?["']) (?:(?<=")(?:[^"\\]|\\.)+ | (?<=')(?:[^'\\]|\\.)+)"""
    r"""  | (?:(?:bearer|basic)\s+)?[^\s"',;&}\])]+ )"""
)
_COOKIES = re.compile(r"""(?i)(?P<name>\b(?:set-)?cookie["']?\s*[:=]\s*(?:b?["'])?)[^\r\n"']+""")
_QUERY = re.compile(r"(?P<path>\b(?:https?|wss?)://[^\s\"'<>?#]+)\?[^\s\"'<>)]*", re.IGNORECASE)
_REQUEST_LINE = re.compile(
    r"""(?P<start>["' ]/[^\s"'?]*)\?(?P<query>[^\s"']*(?:X-Amz-|[Ss]ig|[Tt]oken|[Kk]ey|expires)[^\s"']*)"""
)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*")
# 65 bytes. Transaction hashes are shorter and not secret.
_SIGNATURE = re.compile(r"\b0x[0-9a-fA-F]{130}\b")
# Up to the last `@`, because a password may contain one.
_USERINFO = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,15}://)[^/\s\"'<>?#]+@", re.IGNORECASE)
_LOGGERS = ("sogni", "sogni_async", "urllib3", "websocket", "aiohttp", "requests")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without keys, tokens, passwords, signatures and signed queries.

    Args:
        text: The text to redact.
        secrets: Known secrets, which are removed wherever they occur.
    """
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    text = _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _QUERY.sub(rf"\g<path>?{HIDDEN}", text)
    text = _REQUEST_LINE.sub(rf"\g<start>?{HIDDEN}", text)
    text = without_tokens(text)
    text = _COOKIES.sub(rf"\g<name>{HIDDEN}", text)
    return _NAMED.sub(rf"\g<name>\g<quote>{HIDDEN}", text)


def without_tokens(text: str) -> str:
    """Return `text` without tokens and signatures, recognized by their format. JSON stays valid."""
    return _SIGNATURE.sub(HIDDEN, _JWT.sub(HIDDEN, text))


def without_query(url: str) -> str:
    """Return `url` without user information, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


# A carriage return is harmless before a line feed.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")


def escape_controls(text: str) -> str:
    r"""Return `text` with control characters escaped, for example `\x1b`, except tabs and line breaks.

    For untrusted text on a terminal: control sequences can change its title, hide earlier output, or write to the
    clipboard.
    """
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class Secret(str):
    """A string whose `repr` is redacted, because error trackers collect the `repr` of local variables.

    It is sent and compared like any string. `str()` and all string operations return ordinary strings.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)


class SecretUrl(Secret):
    """A URL whose `repr` hides its query and password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(redact(str(self)))


def secret(value: T) -> T:
    """Return the value, as a `Secret` if it is a string."""
    return Secret(value) if isinstance(value, str) else value  # type: ignore[return-value]  # a str like the value


def secret_url(value: T) -> T:
    """Return the value, as a `SecretUrl` if it is a string."""
    return SecretUrl(value) if isinstance(value, str) else value  # type: ignore[return-value]  # a str, too


_SECRET_BYTES = re.compile(rb"eyJ|://[^\"\s]*\?|0x[0-9a-fA-F]{130}")
_WHOLE_URL = re.compile(r"https?://\S+\?\S*", re.IGNORECASE)


def may_hold_secrets(body: bytes) -> bool:
    """Return whether a JSON body seems to contain a token, a signature or a URL with a query."""
    return _SECRET_BYTES.search(body) is not None


def with_secrets_hidden(values: dict[str, Any]) -> dict[str, Any]:
    """Wrap tokens, signatures and signed URLs among the values of a decoded object in `Secret`.

    An object hook for `json.loads`, so that secrets are wrapped before any code has them in a local variable.
    """
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = _hidden(value)
        elif isinstance(value, list):
            values[name] = [_hidden(it) if isinstance(it, str) else it for it in value]
    return values


def _hidden(value: str) -> str:
    if _WHOLE_URL.fullmatch(value):
        return SecretUrl(value)
    return Secret(value) if _JWT.fullmatch(value) or _SIGNATURE.fullmatch(value) else value


class Environment(Mapping[str, str]):
    """Environment variables with a `repr` that hides them, because any of them may hold a key."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __repr__(self) -> str:
        return f"<{len(self)} environment variables>"


_FORMATTER = logging.Formatter()


class SecretFilter(logging.Filter):
    """Remove secrets and control sequences from log records.

    A filter on a logger does not see the records of its children, so `install_filter` adds it to every logger that the
    libraries have created on import.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the formatted message and the traceback. Always keeps the record."""
        try:
            message = record.getMessage()
        except Exception:
            # The format does not match the arguments. The handler would report them unredacted.
            record.msg, record.args = escape_controls(redact(f"{record.msg} {record.args!r}")), ()
            return True
        clean = escape_controls(redact(message))
        if clean != message:
            record.msg, record.args = clean, ()
        if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None and not record.exc_text:
            trace = _FORMATTER.formatException(record.exc_info)
            clean = escape_controls(redact(trace))
            if clean != trace:
                record.exc_text = clean
        return True


_FILTER = SecretFilter()


def install_filter() -> None:
    """Add the filter to our loggers and those of the HTTP and WebSocket libraries. Idempotent."""
    # Copied in one step, because other threads may be creating loggers.
    known = [name for name in list(logging.Logger.manager.loggerDict) if name.partition(".")[0] in _LOGGERS]
    for name in {*_LOGGERS, *known}:
        logger = logging.getLogger(name)
        if _FILTER not in logger.filters:
            logger.addFilter(_FILTER)
