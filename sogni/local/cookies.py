"""Cookie store of a client.

It replaces the stores of the HTTP libraries, so that all connections of a client share the same cookies and other hosts
neither receive nor set any. Thread-safe. Cookies are never written to disk.
"""

# Cookies of the service: transport §5.

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http.cookiejar import CookieJar


class Cookies:
    """Cookies of the service's hosts. The store stays empty unless `enabled`."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._jar: CookieJar | None = None

    def copy_from(self, other: Cookies) -> None:
        """Copy the cookies of another store without taking its lock.

        In a forked child the lock may be held forever by a thread of the parent.
        """
        if other._jar is not None:
            from http.cookiejar import CookieJar

            self._jar = CookieJar()
            for cookie in other._jar:
                self._jar.set_cookie(cookie)

    def header_for(self, url: str) -> dict[str, str]:
        """Return the `Cookie` header for a request to `url`, or an empty dict."""
        if self._jar is None:
            return {}
        from urllib.request import Request

        request = Request(_as_http(url))
        self._jar.add_cookie_header(request)
        value = request.get_header("Cookie")
        return {"Cookie": value} if value else {}

    def keep(self, url: str, set_cookie: Iterable[str]) -> None:
        """Store the `Set-Cookie` headers of a response from `url`."""
        headers = Message()
        for line in set_cookie:
            headers["Set-Cookie"] = line
        if not self._enabled or not headers:
            return
        from http.cookiejar import CookieJar
        from urllib.request import Request

        if self._jar is None:
            self._jar = CookieJar()
        self._jar.extract_cookies(_Response(headers), Request(_as_http(url)))  # type: ignore[arg-type]  # uses only `info()`


class _Response:
    """The part of a response that `CookieJar` uses."""

    def __init__(self, headers: Message) -> None:
        self._headers = headers

    def info(self) -> Message:
        return self._headers


def _as_http(url: str) -> str:
    return "http" + url.removeprefix("ws") if url.startswith("ws") else url
