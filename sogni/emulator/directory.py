"""All accounts of one emulator: who exists, and whose a request is.

Called by the gates of both hosts, by the routes that create accounts and, from any thread, by tests that
add some.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal

from attrs import define, field

from .accounts import FIRST_SID, Account, NotFreeError, purses
from .sessions import Session, Sessions


def make_sessions(clock: Callable[[], float], access: float, refresh: float, *, testnet: bool) -> Sessions[Account]:
    """Return the sessions of an emulator's accounts; lifetimes of tokens in seconds."""
    environment = "staging" if testnet else "production"
    return Sessions(clock=clock, access_lifetime=access, refresh_lifetime=refresh, environment=environment)


@define(eq=False, kw_only=True)
class Accounts:
    """The accounts and their sessions. ``testnet`` decides which network's signatures are good."""

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
        """Add an account that is made already."""
        with self._lock:
            return self._append(account)

    def create(
        self,
        *,
        username: str,
        email: str,
        wallet_address: str,
        api_key: str | None = None,
        password: str | None = None,
        spark: Decimal | int | str = 0,
        sogni: Decimal | int | str = 0,
    ) -> Account:
        """Make and add an account, or raise ``NotFreeError``."""
        with self._lock:
            for known in self._accounts:
                _check_free(known, username, email, wallet_address, api_key)
            self._count += 1
            account = Account(
                username=username,
                email=email,
                wallet_address=wallet_address,
                sid=self._count,
                api_key=api_key,
                password=password,
                purses=purses(spark, sogni),
            )
            return self._append(account)

    def keep_only(self, account: Account) -> None:
        """Forget every other account, and every session."""
        with self._lock:
            self._accounts = [account]
        self.sessions.clear()

    def by_username(self, username: str) -> Account | None:
        return next((a for a in self.all() if a.username.lower() == username.lower()), None)

    def by_address(self, address: str) -> Account | None:
        return next((a for a in self.all() if a.wallet_address.lower() == address.lower()), None)

    def on_balance_change(self, listener: Callable[[Account], None]) -> None:
        """Tell a listener of every account, also of those to come."""
        with self._lock:
            self._listener = listener
            for account in self._accounts:
                account.on_balance_change(listener)

    def identify(self, headers: Mapping[str, str]) -> Account | None:
        """Return the account behind a request's credentials (transport §5), or None."""
        if "api-key" in headers:
            return self._of_key(headers["api-key"])
        session = self.session(headers)
        return None if session is None else session.owner

    def session(self, headers: Mapping[str, str]) -> Session[Account] | None:
        """Return the session of an access token (as it is, without ``Bearer``) or of a cookie. A token that is
        no good is not made up for by a cookie."""
        if "Authorization" in headers:
            return self.sessions.of_token(headers["Authorization"])
        return self.sessions.of_cookies(headers.get("Cookie", ""))

    def _append(self, account: Account) -> Account:
        self._accounts.append(account)
        if self._listener is not None:
            account.on_balance_change(self._listener)
        return account

    def _of_key(self, given: str) -> Account | None:
        wanted = given.encode(errors="surrogateescape")
        for account in self.all():
            if account.api_key is not None and secrets.compare_digest(account.api_key.encode(), wanted):
                return account
        return None


def _check_free(known: Account, username: str, email: str, wallet_address: str, api_key: str | None) -> None:
    if known.username.lower() == username.lower():
        raise NotFreeError("The username is already taken")
    if known.wallet_address.lower() == wallet_address.lower():
        raise NotFreeError("The wallet belongs to another account")
    if known.email.lower() == email.lower():
        raise NotFreeError("The email address belongs to another account")
    if api_key is not None and known.api_key == api_key:
        raise NotFreeError("The API key belongs to another account")
