"""The ledger: what an account paid and received, as its transaction history tells (account §12.1).

Written by the account whenever money moved for good, from any thread; read by the routes of the history and
of the leaderboard.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

from attrs import define, field, frozen

_LIMIT = 100_000
_PAYMENT = {"spark": "paid_spark", "sogni": "sogni"}


@frozen(kw_only=True)
class Transaction:
    """One movement; ``amount`` is negative when it was paid. ``time`` is in epoch seconds."""

    sid: int
    id: str
    time: float
    token: Literal["spark", "sogni"]
    amount: Decimal
    description: str
    source: str
    source_sid: str

    def wire(self, address: str, address_sid: int) -> dict[str, Any]:
        """The transaction as the list sends it; amounts are numbers there, times milliseconds."""
        moment = round(self.time * 1000)
        record = {
            "_id": f"{self.sid:024x}",
            "id": self.id,
            "SID": self.sid,
            "address": address,
            "createTime": moment,
            "updateTime": moment,
            "status": "completed",
            "role": "artist",
            "clientSID": address_sid,
            "addressSID": address_sid,
            "amount": int(self.amount) if self.amount % 1 == 0 else float(self.amount),
            "description": self.description,
            "source": self.source,
            "sourceSID": self.source_sid,
            "endTime": moment,
            "type": "debit" if self.amount < 0 else "credit",
            "tokenType": self.token,
        }
        if self.source == "project":
            record |= {"billingMode": "tokens", "paymentModel": _PAYMENT[self.token]}
        return record


@define(eq=False)
class Ledger:
    """The transactions of one account; the newest 100,000 are kept."""

    clock: Callable[[], float] = time.time
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)
    _count: int = 0
    _entries: deque[Transaction] = field(factory=lambda: deque(maxlen=_LIMIT), repr=False)

    def add(
        self,
        token: Literal["spark", "sogni"],
        amount: Decimal,
        *,
        description: str,
        source: str,
        source_sid: str = "",
    ) -> None:
        with self._lock:
            self._count += 1
            self._entries.append(
                Transaction(
                    sid=self._count,
                    id=str(uuid.uuid4()).upper(),
                    time=self.clock(),
                    token=token,
                    amount=amount,
                    description=description,
                    source=source,
                    source_sid=source_sid,
                )
            )

    def newest_first(self) -> list[Transaction]:
        with self._lock:
            return list(reversed(self._entries))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
