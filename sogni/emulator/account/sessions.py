"""Authentication: access and refresh tokens, sessions, sign-in nonces, and the registry of accounts.

Everything but ``Accounts`` belongs to the server's event loop. A refresh replaces both tokens; the old refresh token
never works again.
"""
# Protocol notes: transport §5, account §4.

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Generic, Literal, TypeVar

from attrs import define, field, frozen

from sogni.emulator.account.accounts import FIRST_SID, Account, Amount, NotFreeError

COOKIE = "sogni-session"
COOKIE_LIFETIME = 30 * 24 * 3600
LIFETIME = 600
"""Seconds a persistent cookie lasts, and seconds a nonce waits for its signature."""
_MOST_SESSIONS, _MOST_KEYS, _MOST_PER_KEY = 10_000, 100_000, 8
Use = Literal["access", "refresh"]
Owner = TypeVar("Owner")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_HEADER = _encoded(b'{"alg":"HS256","typ":"JWT"}')


@define
class TokenMint:
    """Signs claims with its own secret (HS256) and reads what it has signed."""

    _secret: bytes = field(factory=lambda: secrets.token_bytes(32), repr=False)

    def make(self, claims: Mapping[str, Any]) -> str:
        body = f"{_HEADER}.{_encoded(json.dumps(claims, separators=(',', ':')).encode())}"
        return f"{body}.{self._signature(body)}"

    def read(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token made here, expired or not; None for anything else."""
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode(errors="surrogateescape")):
            return None
        claims = body.partition(".")[2]
        read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return read

    def _signature(self, body: str) -> str:
        return _encoded(hmac.new(self._secret, body.encode(errors="surrogateescape"), hashlib.sha256).digest())


@frozen
class TokenPair:
    """An access token and its refresh token."""

    token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    def wire(self) -> dict[str, str]:
        return {"token": self.token, "refreshToken": self.refresh_token}


@define(eq=False)
class Session(Generic[Owner]):
    """One sign-in. ``serial`` is the number of its newest token pair."""

    id: str = field(repr=False)
    owner: Owner
    address: str
    cookie: str = field(repr=False)
    cookie_until: float
    serial: int = 0


@define(eq=False, kw_only=True)
class Sessions(Generic[Owner]):
    """All sessions of one emulator. Lifetimes are in seconds and may be changed at any time."""

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
        until = self.clock() + COOKIE_LIFETIME
        session = Session(secrets.token_hex(16), owner, address, secrets.token_urlsafe(32), until)
        if len(self._sessions) >= _MOST_SESSIONS:
            self.close(next(iter(self._sessions.values())))
        self._sessions[session.id] = session
        self._cookies[session.cookie] = session.id
        return session, self._pair(session)

    def close(self, session: Session[Owner]) -> None:
        """Close a session: its tokens and its cookie become invalid."""
        self._sessions.pop(session.id, None)
        self._cookies.pop(session.cookie, None)

    def clear(self) -> None:
        self._sessions.clear()
        self._cookies.clear()

    def refresh(self, refresh_token: str) -> TokenPair | None:
        """Exchange a refresh token for a new pair; return None if the token is invalid."""
        session, serial = self._read(refresh_token, "refresh")
        return None if session is None or serial != session.serial else self._pair(session)

    def of_token(self, token: str) -> Session[Owner] | None:
        """Return the session of a valid access token."""
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
        """Invalidate every token of one kind issued so far, whatever its claims say."""
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
        claims = self._mint.read(token) or {}
        right_use = (claims.get("type") == "refresh") == (use == "refresh")
        if not claims or not right_use or claims["exp"] <= self.clock() or claims["n"] < self._oldest[use]:
            return None, 0
        return self._sessions.get(claims["session"]), claims["n"]


@define
class Pending(Generic[Owner]):
    """Values that are issued for a key, and can each be used once before they expire: nonces and permits.

    Several clients may request one for the same key at the same time.
    """

    # Protocol notes: account §4.

    clock: Callable[[], float]
    _waiting: dict[tuple[str, ...], list[tuple[Owner, float]]] = field(factory=dict, repr=False)

    def issue(self, value: Owner, lifetime: float, *key: str) -> Owner:
        if len(self._waiting) >= _MOST_KEYS and key not in self._waiting:
            del self._waiting[next(iter(self._waiting))]
        waiting = self._waiting.setdefault(key, [])
        waiting.append((value, self.clock() + lifetime))
        del waiting[:-_MOST_PER_KEY]
        return value

    def waiting(self, *key: str) -> list[Owner]:
        """Return the unused values of a key, the newest first."""
        now = self.clock()
        return [value for value, until in reversed(self._waiting.get(key, [])) if now < until]

    def spend(self, value: Owner, *key: str) -> bool:
        """Use a value up; return False if it has been used already."""
        before = self._waiting.pop(key, [])
        left = [(it, until) for it, until in before if it != value]
        if left:
            self._waiting[key] = left
        return len(left) < len(before)

    def clear(self) -> None:
        self._waiting.clear()


@define(eq=False, kw_only=True)
class Accounts:
    """The accounts and their sessions, usable from any thread. ``testnet`` selects the network whose signatures are
    valid.
    """

    testnet: bool = False
    sessions: Sessions[Account] = field(factory=lambda: Sessions(clock=time.time))
    _accounts: list[Account] = field(factory=list)
    _count: int = FIRST_SID
    _listener: Callable[[Account], None] | None = None
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def all(self) -> list[Account]:
        with self._lock:
            return list(self._accounts)

    def add(self, account: Account) -> Account:
        """Add an existing account."""
        with self._lock:
            account.listener = self._listener
            self._accounts.append(account)
            return account

    def create(
        self,
        *,
        username: str,
        email: str,
        wallet_address: str,
        api_key: str | None = None,
        password: str | None = None,
        spark: Amount = 0,
        sogni: Amount = 0,
        free_spark: Amount = 0,
    ) -> Account:
        """Create and add an account, or raise ``NotFreeError``."""
        with self._lock:
            for known in self._accounts:
                if known.username.lower() == username.lower():
                    raise NotFreeError("The username is already taken")
                if known.wallet_address.lower() == wallet_address.lower():
                    raise NotFreeError("The wallet belongs to another account")
                if known.email.lower() == email.lower():
                    raise NotFreeError("The email address belongs to another account")
                if api_key is not None and known.api_key == api_key:
                    raise NotFreeError("The API key belongs to another account")
            self._count += 1
            account = Account(
                username=username,
                email=email,
                wallet_address=wallet_address,
                sid=self._count,
                api_key=api_key,
                password=password,
                clock=self.sessions.clock,
            )
            account.funds.set(spark, sogni, free_spark)
            account.listener = self._listener
            self._accounts.append(account)
            return account

    def keep_only(self, account: Account) -> None:
        """Remove all other accounts and all sessions."""
        with self._lock:
            self._accounts = [account]
        self.sessions.clear()

    def by_username(self, username: str) -> Account | None:
        return next((a for a in self.all() if a.username.lower() == username.lower()), None)

    def by_address(self, address: str) -> Account | None:
        return next((a for a in self.all() if a.wallet_address.lower() == address.lower()), None)

    def on_balance_change(self, listener: Callable[[Account], None]) -> None:
        """Register a listener for balance changes of all present and future accounts."""
        with self._lock:
            self._listener = listener
            for account in self._accounts:
                account.listener = listener

    def identify(self, headers: Mapping[str, str]) -> Account | None:
        """Return the account behind a request's credentials, or None."""
        # Protocol notes: transport §5.
        if "api-key" in headers:
            requested = headers["api-key"].encode(errors="surrogateescape")
            keys = ((it, it.api_key) for it in self.all() if it.api_key is not None)
            return next((it for it, key in keys if secrets.compare_digest(key.encode(), requested)), None)
        session = self.session(headers)
        return None if session is None else session.owner

    def session(self, headers: Mapping[str, str]) -> Session[Account] | None:
        """Return the session of an access token (sent without ``Bearer``) or of a cookie.

        A cookie does not make up for an invalid token.
        """
        if "Authorization" in headers:
            return self.sessions.of_token(headers["Authorization"])
        return self.sessions.of_cookies(headers.get("Cookie", ""))
