"""How requests fail: decides which of our errors one of the library's becomes.

Called by `http`; it names host and cause, never a query or a header.
"""

from __future__ import annotations

import requests
import urllib3

from ..errors import SogniConnectionError, SogniError
from ..protocol.exchange import limit_of, no_answer, no_connection, shown_host
from ..protocol.http import HttpCall
from ..redaction import redact
from ..settings import Settings


def http_error(call: HttpCall, url: str, error: Exception, settings: Settings) -> SogniError:
    """Our error for one of the library's; it names host and cause, never a query or a header.

    Raised `from None`: the library's own words hold the whole address.
    """
    if isinstance(error, requests.ConnectTimeout):
        return no_connection(url, settings.timeouts.connect)
    if isinstance(error, requests.Timeout | urllib3.exceptions.ReadTimeoutError):
        return no_answer(call, url, limit_of(call, settings.timeouts))
    return SogniConnectionError(f"cannot reach {shown_host(url)}: {_cause(error)}")


def _cause(error: BaseException) -> str:
    """The innermost reason in a chain of wrapped errors."""
    seen: BaseException = error
    for _ in range(8):
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        inner = inner or seen.__cause__
        if inner is None or inner is seen:
            break
        seen = inner
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror
    text = str(seen.args[0]) if seen.args else type(seen).__name__
    return redact(text.rpartition(": ")[2] or text)
