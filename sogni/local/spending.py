"""The amount that the servers of this user have spent today, so that a daily limit survives a restart.

The amounts are kept in a file that all servers share; a day starts at midnight UTC. An amount is counted before it is
spent, so that a killed server has counted too much rather than too little.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from attrs import frozen

from sogni.errors import CostLimitError
from sogni.local.app_ids import state_directory
from sogni.local.files import lock, unlock, write_file

FILE_NAME = "spending.json"
_LOCK_SECONDS = 10.0
"""Time limit for the lock. Another server holds it for as long as it takes to write a few bytes."""
_POLL_SECONDS = 0.01
"""Between two attempts to take the lock: nothing signals its release."""


@frozen
class Reservation:
    """An amount that counts as spent, until `DaySpending.settle` replaces it.

    Attributes:
        token: Token that pays.
        amount: The amount, in that token.
        day: Day that it counts for.
    """

    token: str
    amount: Decimal
    day: date


class DaySpending:
    """The amounts spent today, one for each token, and a limit for each.

    Args:
        limit: Most that may be spent per day, in the token that pays. None for no limit; then nothing is recorded.
        path: File that keeps the amounts. None keeps them in memory.
        today: Returns the current day.
    """

    def __init__(
        self,
        limit: Decimal | None,
        path: Path | None = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self.limit = limit
        self._path = path
        self._today = today
        self._day = date.min
        self._amounts: dict[str, Decimal] = {}
        self._lock = threading.Lock()

    @classmethod
    def shared(cls, limit: Decimal | None) -> DaySpending:
        """Return the amounts that all servers of this user share. Without a home directory they stay in memory."""
        try:
            return cls(limit, state_directory() / FILE_NAME)
        except RuntimeError:
            return cls(limit)

    def spent(self, token: str) -> Decimal:
        """Return the amount spent today, in a token.

        Raises:
            OSError: The file cannot be read.
        """
        return self._read().get(token, Decimal())

    def reserve(self, token: str, amount: Decimal) -> Reservation:
        """Count an amount as spent.

        Raises:
            CostLimitError: The limit would be exceeded. Nothing is counted.
            OSError: The file cannot be written. Nothing may be spent then.
        """
        if self.limit is None:
            return Reservation(token, amount, self._today())
        with self._changing() as amounts:
            spent = amounts.get(token, Decimal())
            if spent + amount > self.limit:
                raise CostLimitError(
                    f"this would cost {amount:f} {token}, and {spent:f} of the {self.limit:f} {token} "
                    "that may be spent per day are spent",
                    estimate=amount,
                    max_cost=self.limit,
                )
            amounts[token] = spent + amount
            return Reservation(token, amount, self._day)

    def settle(self, reservation: Reservation, cost: Decimal) -> None:
        """Replace an amount with the one actually spent. Does nothing if it was counted on an earlier day.

        Raises:
            OSError: The file cannot be written. The reserved amount remains counted.
        """
        if self.limit is None:
            return
        with self._changing() as amounts:
            if reservation.day == self._day:
                amounts[reservation.token] = max(
                    Decimal(), amounts.get(reservation.token, Decimal()) + cost - reservation.amount
                )

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Decimal]]:
        """Hold the locks for a `with` block that changes the amounts, then write them."""
        if self._path is None:
            with self._lock:
                yield self._read()
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Threads of this process queue for the first: for the second they would have to poll.
        with self._lock, _locked(self._path.with_suffix(".lock")):
            amounts = self._read()
            yield amounts
            document = {"day": self._day.isoformat(), "spent": {key: f"{value:f}" for key, value in amounts.items()}}
            write_file(self._path, json.dumps(document).encode())

    def _read(self) -> dict[str, Decimal]:
        today = self._today()
        if self._path is not None:
            self._amounts = _read_file(self._path, today)
        elif self._day != today:
            self._amounts = {}
        self._day = today
        return self._amounts


def _read_file(path: Path, today: date) -> dict[str, Decimal]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        document = None
    # A damaged file must not look like a day on which nothing was spent.
    try:
        amounts = {str(token): Decimal(amount) for token, amount in document["spent"].items()}
        if not all(amount.is_finite() for amount in amounts.values()):
            raise ValueError
        if date.fromisoformat(document["day"]) != today:
            return {}
    except (AttributeError, KeyError, TypeError, ValueError, InvalidOperation):
        raise OSError(f"{path} is damaged; remove it to start the day with nothing spent") from None
    return amounts


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    limit = time.monotonic() + _LOCK_SECONDS
    while (descriptor := lock(path)) is None:
        if time.monotonic() > limit:
            raise OSError(f"{path} is locked by another program")
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        with suppress(OSError):
            unlock(descriptor)
        os.close(descriptor)
