"""The cookies of one client: decides which ones a request to the service carries (transport §5).

Used by both shells instead of their libraries' own stores, so that every connection of a client has the same
cookies and no other host gets or sets any. Safe from any thread. Never written anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http.cookiejar import CookieJar


class Cookies:
    """A store for the service's hosts; with `wanted` False it stays empty."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._jar: CookieJar | None = None

    def go_on_from(self, before: Cookies) -> None:
        """Take over the cookies of a client that begins anew; without the lock of the other store.

        In a forked child a thread that is not there may hold it for ever.
        """
        if before._jar is not None:
            from http.cookiejar import CookieJar

            self._jar = CookieJar()
            for cookie in before._jar:
                self._jar.set_cookie(cookie)

    def header_for(self, url: str) -> dict[str, str]:
        """The header of a request to `url`, empty when there is nothing to send."""
        if self._jar is None:
            return {}
        from urllib.request import Request

        request = Request(_as_http(url))
        self._jar.add_cookie_header(request)
        text = request.get_header("Cookie")
        return {"Cookie": text} if text else {}

    def keep(self, url: str, set_cookie: Iterable[str]) -> None:
        """Take the `Set-Cookie` headers of an answer from `url`."""
        headers = Message()
        for line in set_cookie:
            headers["Set-Cookie"] = line
        if not self._wanted or not headers:
            return
        from http.cookiejar import CookieJar
        from urllib.request import Request

        if self._jar is None:
            self._jar = CookieJar()
        self._jar.extract_cookies(_Answer(headers), Request(_as_http(url)))  # type: ignore[arg-type]  # only `info()` is read


class _Answer:
    """As much of an answer as the jar looks at."""

    def __init__(self, headers: Message) -> None:
        self._headers = headers

    def info(self) -> Message:
        return self._headers


def _as_http(url: str) -> str:
    return "http" + url.removeprefix("ws") if url.startswith("ws") else url
