"""Our errors for the failures of `requests`.

They name host, proxy and cause, never a query or a header.
"""

from __future__ import annotations

import os

import requests
import urllib3

from ..errors import SogniError
from ..machine.causes import cause_of
from ..machine.proxies import through
from ..protocol.exchange import limit_of, no_answer, no_connection, unreachable
from ..protocol.http import HttpCall
from ..settings import Settings


def http_error(call: HttpCall, url: str, error: Exception, settings: Settings) -> SogniError:
    """Return our error for one of the library's, to be raised `from None`: the library's quotes the whole URL."""
    via = through(url, settings.proxy, os.environ)
    cause = _innermost(error)
    proxy_timed_out = isinstance(error, requests.exceptions.ProxyError) and isinstance(cause, TimeoutError)
    if isinstance(error, requests.ConnectTimeout) or proxy_timed_out:
        return no_connection(url, min(settings.timeouts.connect, limit_of(call, settings.timeouts)), via)
    if isinstance(error, requests.Timeout | urllib3.exceptions.ReadTimeoutError):
        return no_answer(call, url, limit_of(call, settings.timeouts), via)
    if isinstance(error, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError):
        return unreachable(url, via, "the URL is invalid")
    return unreachable(url, via, cause_of(cause))


def _innermost(error: BaseException) -> BaseException:
    """Return the first reason in a chain of wrapped errors."""
    seen = error
    for _ in range(8):
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        inner = inner or seen.__cause__
        if inner is None or inner is seen:
            break
        seen = inner
    return seen
