"""What tests do to the accounts of an emulator: add some, let tokens expire, give and take subscriptions.

A part of ``LocalSupernet``, which says how its own thread and the server's come together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .accounts import Account
from .directory import Accounts
from .memberships import Membership, UnlockPath
from .wallets import address_of

if TYPE_CHECKING:
    from .state import State


class AccountHelpers(ABC):
    """The methods of ``LocalSupernet`` about accounts. Those about sessions and subscriptions need a running
    emulator."""

    _accounts: Accounts
    _account: Account

    @property
    def accounts(self) -> list[Account]:
        """Every account, oldest first; the first is the one behind the key."""
        return self._accounts.all()

    def add_account(
        self,
        username: str,
        password: str,
        *,
        email: str | None = None,
        api_key: str | None = None,
        spark: Decimal | int | str = 10_000,
        sogni: Decimal | int | str = 10_000,
    ) -> Account:
        """Add an account that can sign in with a user name and a password. Needs the extra ``wallet``.

        Raises ``NotFreeError`` when another account has the name, the email address or the key."""
        return self._accounts.create(
            username=username,
            email=email or f"{username}@example.test",
            wallet_address=address_of(username, password),
            api_key=api_key,
            password=password,
            spark=spark,
            sogni=sogni,
        )

    def expire_access_tokens(self) -> None:
        """Answer 401 to every access token handed out so far, whatever its claims say. Refreshing helps."""
        self._in_server(lambda _: self._accounts.sessions.expire("access"))

    def revoke_refresh_tokens(self) -> None:
        """Answer 401 to every refresh token handed out so far. Access tokens stay good until they expire."""
        self._in_server(lambda _: self._accounts.sessions.expire("refresh"))

    def end_sessions(self) -> None:
        """Forget every sign-in: tokens and cookies. API keys stay good."""
        self._in_server(lambda _: self._accounts.sessions.clear())

    def set_token_lifetimes(self, *, access: float | None = None, refresh: float | None = None) -> None:
        """Change how many seconds the tokens last that are handed out from now on."""

        def change(_: State) -> None:
            sessions = self._accounts.sessions
            sessions.access_lifetime = sessions.access_lifetime if access is None else access
            sessions.refresh_lifetime = sessions.refresh_lifetime if refresh is None else refresh

        self._in_server(change)

    def set_subscription(
        self,
        membership: Membership | None,
        *,
        account: Account | None = None,
        free_spark_locked: bool | None = None,
        free_spark_unlock_path: UnlockPath | None = None,
    ) -> None:
        """Give an account (by default the one behind the key) a subscription, or take it away (None). Clients
        get ``subscriptionEntitlementUpdated``; ``free_spark_locked`` is told when it is given."""
        owner = account or self._account

        def change(state: State) -> None:
            owner.membership = membership
            if free_spark_locked is not None:
                owner.free_spark_lock = (free_spark_locked, free_spark_unlock_path)
            state.publish_entitlement(owner)

        self._in_server(change)

    @abstractmethod
    def _in_server(self, change: Callable[[State], Any]) -> None:
        """Run `change` where the server's state may be touched."""
