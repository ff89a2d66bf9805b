"""Sessions: who is signed in, by which tokens and cookie, and until when (transport §5).

Called by the gates of both hosts (whose token is this) and by the routes that sign in, refresh and sign
out. A refresh replaces both tokens; the old refresh token never works again. Belongs to the server's event
loop.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any, Generic, Literal, TypeVar

from attrs import define, field, frozen

from .tokens import TokenMint

COOKIE = "sogni-session"
COOKIE_LIFETIME = 30 * 24 * 3600
"""Seconds a cookie lasts that is to be remembered."""

_LIMIT = 10_000
Use = Literal["access", "refresh"]
Owner = TypeVar("Owner")


@frozen
class TokenPair:
    """An access token and the refresh token that replaces both."""

    token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    def wire(self) -> dict[str, str]:
        return {"token": self.token, "refreshToken": self.refresh_token}


@define(eq=False)
class Session(Generic[Owner]):
    """One sign-in. ``serial`` is the number of its newest pair of tokens."""

    id: str = field(repr=False)
    owner: Owner
    address: str
    cookie: str = field(repr=False)
    cookie_until: float
    serial: int = 0


@define(eq=False, kw_only=True)
class Sessions(Generic[Owner]):
    """All sessions of one emulator. Lifetimes are seconds; they may be changed at any time."""

    clock: Callable[[], float]
    access_lifetime: float = 24 * 3600
    refresh_lifetime: float = 30 * 24 * 3600
    environment: str = "production"
    _mint: TokenMint = field(factory=TokenMint)
    _sessions: dict[str, Session[Owner]] = field(factory=dict, repr=False)
    _cookies: dict[str, str] = field(factory=dict, repr=False)
    _serial: int = 0
    _oldest: dict[Use, int] = field(factory=lambda: {"access": 0, "refresh": 0})

    def open(self, owner: Owner, address: str) -> tuple[Session[Owner], TokenPair]:
        """Sign somebody in."""
        session = Session(
            secrets.token_hex(16), owner, address, secrets.token_urlsafe(32), self.clock() + COOKIE_LIFETIME
        )
        if len(self._sessions) >= _LIMIT:
            self.close(next(iter(self._sessions.values())))
        self._sessions[session.id] = session
        self._cookies[session.cookie] = session.id
        return session, self._pair(session)

    def close(self, session: Session[Owner]) -> None:
        """Sign somebody out: the session's tokens and its cookie are worth nothing any more."""
        self._sessions.pop(session.id, None)
        self._cookies.pop(session.cookie, None)

    def clear(self) -> None:
        self._sessions.clear()
        self._cookies.clear()

    def refresh(self, refresh_token: str) -> TokenPair | None:
        """Exchange a refresh token for a new pair, or return None when it is not worth one."""
        session, serial = self._read(refresh_token, "refresh")
        if session is None or serial != session.serial:
            return None
        return self._pair(session)

    def of_token(self, token: str) -> Session[Owner] | None:
        """Return the session of an access token that is still good."""
        return self._read(token, "access")[0]

    def of_cookies(self, header: str) -> Session[Owner] | None:
        """Return the session of a ``Cookie`` header."""
        try:
            given = SimpleCookie(header).get(COOKIE)
        except CookieError:
            return None
        session = None if given is None else self._sessions.get(self._cookies.get(given.value, ""))
        return session if session is not None and self.clock() < session.cookie_until else None

    def expire(self, use: Use) -> None:
        """Stop honouring every token of one use handed out so far, whatever it says of itself."""
        self._oldest[use] = self._serial + 1

    def _pair(self, session: Session[Owner]) -> TokenPair:
        self._serial += 1
        session.serial = self._serial
        now = self.clock()
        common = {"env": self.environment, "iat": int(now), "n": self._serial, "session": session.id}
        access = {"addr": session.address, **common, "exp": int(now + self.access_lifetime)}
        refresh = {"type": "refresh", **common, "exp": int(now + self.refresh_lifetime)}
        return TokenPair(self._mint.make(access), self._mint.make(refresh))

    def _read(self, token: str, use: Use) -> tuple[Session[Owner] | None, int]:
        claims: dict[str, Any] = self._mint.read(token) or {}
        right_use = (claims.get("type") == "refresh") == (use == "refresh")
        if not claims or not right_use or claims["exp"] <= self.clock() or claims["n"] < self._oldest[use]:
            return None, 0
        return self._sessions.get(claims["session"]), claims["n"]
