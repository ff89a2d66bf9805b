"""Who is signed in and what they have: decides what frames and answers change of it (account §15).

Fed by the client state; it tells through the outbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from ..errors import ProtocolError
from ..models.account import AccountInfo, Balances
from ..models.converter import read, to_dict
from ..models.subscriptions import Subscription
from .entitlement import Ordering, snapshot_of
from .listeners import Listeners
from .outbox import Outbox

NetworkStatus = Literal["disconnected", "connecting", "connected", "switching"]
ACCOUNT_EVENTS = frozenset({"updated"})
T = TypeVar("T")


def read_amounts(cls: type[T], data: Any, source: str) -> T:
    """A balance by token. ProtocolError for what names no token: nobody may take that for a balance of 0."""
    if isinstance(data, Mapping) and not {"sogni", "spark", "ether"} & data.keys():
        raise ProtocolError(f"{source} holds no balance")
    return read(cls, data, source)


class AccountState:
    """The live account; `updated` is told with the names of what became different."""

    def __init__(self, out: Outbox, network: str | None) -> None:
        self.listeners = Listeners()
        self._out = out
        self.network_status: NetworkStatus = "disconnected"
        self.network: str | None = network
        self.balance = Balances()
        self.wallet_address: str | None = None
        self.username: str | None = None
        self.email: str | None = None
        self.subscription: Subscription | None = None
        self.free_spark_locked: bool | None = None
        self.free_spark_unlock_path: str | None = None
        self.ordering = Ordering()

    def change(self, **values: Any) -> None:
        """Set what is different and tell of it once."""
        names = {name for name, value in values.items() if getattr(self, name) != value}
        for name in names:
            setattr(self, name, values[name])
        if names:
            self._out.tell(self.listeners, "updated", names)
            self._out.wake("account")

    def known(self, info: AccountInfo) -> None:
        """The answer of `me` (account §5); who it is does not become unknown by an answer that does not say."""
        said = {"username": info.username, "wallet_address": info.wallet_address}
        self.change(email=info.current_email, **{name: value for name, value in said.items() if value is not None})

    def reset(self) -> None:
        """Nobody is signed in any more."""
        self.change(
            network_status="disconnected",
            network=None,
            balance=Balances(),
            wallet_address=None,
            username=None,
            email=None,
            subscription=None,
            free_spark_locked=None,
            free_spark_unlock_path=None,
        )
        self.ordering.reset()

    def subscribed(self, snapshot: Subscription, asked_at: int) -> Subscription | None:
        """The answer of REST, asked for when the socket had written `asked_at` times; returns what counts now."""
        if self.ordering.accepts(snapshot, asked_at=asked_at):
            self.change(subscription=snapshot)
        return self.subscription

    def entitled(self, entitlement: dict[str, Any], now: float) -> None:
        """An entitlement of the socket (account §13.5)."""
        snapshot = snapshot_of(entitlement, now)
        if self.ordering.accepts(snapshot, asked_at=None):
            self.change(subscription=snapshot)

    def spark_lock(self, frame: dict[str, Any]) -> None:
        """Whether free Spark can be spent, when a frame says so (account §14)."""
        locked, path = frame.get("freeSparkLocked"), frame.get("freeSparkUnlockPath")
        if isinstance(locked, bool):
            self.change(free_spark_locked=locked, free_spark_unlock_path=path if isinstance(path, str) else None)

    def snapshot(self) -> dict[str, Any]:
        """The account at this moment, JSON-ready; what is not known is left out."""
        known = {
            "networkStatus": self.network_status,
            "network": self.network,
            "balance": to_dict(self.balance),
            "walletAddress": self.wallet_address,
            "username": self.username,
            "email": self.email,
            "subscription": to_dict(self.subscription),
            "freeSparkLocked": self.free_spark_locked,
            "freeSparkUnlockPath": self.free_spark_unlock_path,
        }
        return {name: value for name, value in known.items() if value is not None}
