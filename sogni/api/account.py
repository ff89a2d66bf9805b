"""`client.account` and `client.current_account`: who is signed in, what they have, on which network."""

from __future__ import annotations

from typing import Any

from ..flows import account
from ..models.account import AccountInfo, Balances
from ..protocol.account_state import ACCOUNT_EVENTS
from ..protocol.listeners import Listeners
from ..settings import Network
from ..views import Listening


class CurrentAccount(Listening):
    """The live account, fed by REST and socket; reading never blocks.

    Event: `updated` (set of changed names).
    """

    _events = ACCOUNT_EVENTS

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def _listeners(self) -> Listeners:
        return self._engine.state.account.listeners  # type: ignore[no-any-return]

    def _heard(self) -> None:
        self._engine.state.listen()

    @property
    def username(self) -> str | None:
        """The user name, once it is known."""
        return self._engine.state.account.username  # type: ignore[no-any-return]

    @property
    def email(self) -> str | None:
        """The e-mail address, once it is known."""
        return self._engine.state.account.email  # type: ignore[no-any-return]

    @property
    def wallet_address(self) -> str | None:
        """The address of the wallet, once it is known."""
        return self._engine.state.account.wallet_address  # type: ignore[no-any-return]

    @property
    def balance(self) -> Balances:
        """The balance as last announced; `.spark.net` and `.sogni.net` are what can be spent."""
        return self._engine.state.account.balance  # type: ignore[no-any-return]

    @property
    def network(self) -> str | None:
        """The network in use; None while disconnected or switching."""
        return self._engine.state.account.network  # type: ignore[no-any-return]

    @property
    def network_status(self) -> str:
        """`disconnected`, `connecting`, `connected` or `switching`."""
        return self._engine.state.account.network_status  # type: ignore[no-any-return]

    @property
    def is_authenticated(self) -> bool:
        """Whether the wallet's address is known, so that somebody is signed in (account §15)."""
        return self._engine.state.account.wallet_address is not None

    def to_dict(self) -> dict[str, Any]:
        """The account at this moment, JSON-ready."""
        made: dict[str, Any] = self._engine.state.account.snapshot()
        return made

    def __repr__(self) -> str:
        return f"<CurrentAccount {self.username or 'nobody'} {self.network_status}>"


class Account:
    """Account calls of one client."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def me(self) -> AccountInfo:
        """Who the credentials belong to. AuthenticationError when they are refused."""
        return self._engine.run(account.fetch_account())  # type: ignore[no-any-return]

    def account_balance(self) -> Balances:
        """The balance in both tokens, asked for now; `current_account` is not changed."""
        return self._engine.run(account.account_balance())  # type: ignore[no-any-return]

    def refresh_balance(self) -> Balances:
        """The balance in both tokens, asked for now and kept in `current_account`."""
        return self._engine.run(account.refresh_balance())  # type: ignore[no-any-return]

    def switch_network(self, network: Network) -> str:
        """Move to another network, `fast` or `relaxed`; returns the one the service chose.

        Raises `SogniTimeoutError` when it does not answer (transport §12).
        """
        return self._engine.run(account.switch_network(network))  # type: ignore[no-any-return]
