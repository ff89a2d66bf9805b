"""The leaderboard: who did most, by type and period (account §12.4).

Called by its route. The accounts of the emulator compete with an invented cast, so that there are pages to
turn; the cast's values depend on the type and period alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from attrs import frozen

from .accounts import Account, decimal_text
from .ledger import Transaction

TYPES = (
    "renderUSDCompleteWorker",
    "renderUSDCompleteArtist",
    "renderSecCompleteWorker",
    "renderSecCompleteArtist",
    "renderTokenCompleteWorker",
    "renderTokenCompleteWorker2",
    "renderTokenCompleteArtist",
    "renderTokenCompleteArtist2",
    "jobCompleteWorker",
    "jobCompleteArtist",
    "projectCompleteArtist",
    "uloginWorker",
    "uloginArtist",
    "tokenVolume",
    "referral",
)
PERIODS = ("day", "lifetime")
NETWORKS = ("fast", "relaxed", "all")

_CAST = 45
_COUNTRIES = ("US", "DE", "JP", "BR", "CA", "FR", "IN")
_DAY = 24 * 3600


@frozen
class _Entry:
    username: str
    address: str
    country: str
    value: Decimal


def ranking(accounts: Sequence[Account], type: str, period: str, network: str, now: float) -> list[dict[str, Any]]:
    """Return everybody with a value above 0, the best first."""
    entries = [_invented(number, f"{type} {period} {network}") for number in range(_CAST)]
    since = now - _DAY if period == "day" else 0.0
    entries += [_of(account, type, since, now) for account in accounts]
    entries.sort(key=lambda entry: (-entry.value, entry.username))
    role = "worker" if "Worker" in type else "artist"
    return [
        {
            "rank": rank,
            "username": entry.username,
            "address": entry.address,
            "country": entry.country,
            "value": decimal_text(entry.value),
            "role": role,
        }
        for rank, entry in enumerate((entry for entry in entries if entry.value > 0), 1)
    ]


def _of(account: Account, type: str, since: float, until: float) -> _Entry:
    recent = [t for t in account.ledger.newest_first() if since <= t.time <= until]
    return _Entry(account.username, account.wallet_address, "", _value(recent, type))


def _value(transactions: Sequence[Transaction], type: str) -> Decimal:
    renders = [t for t in transactions if t.source == "project"]
    if type == "projectCompleteArtist":
        return Decimal(len(renders))
    if type in ("renderTokenCompleteArtist", "renderTokenCompleteArtist2"):
        token = "spark" if type.endswith("2") else "sogni"
        return -sum((t.amount for t in renders if t.token == token), Decimal(0))
    if type == "tokenVolume":
        return sum((abs(t.amount) for t in transactions), Decimal(0))
    return Decimal(0)


def _invented(number: int, board: str) -> _Entry:
    digest = hashlib.sha256(f"{board} {number}".encode()).digest()
    address = "0x" + hashlib.sha256(f"artist {number}".encode()).hexdigest()[:40]
    value = Decimal(int.from_bytes(digest[:4]) % 10_000_000).scaleb(-2)
    return _Entry(f"dreamer-{number:02}", address, _COUNTRIES[number % len(_COUNTRIES)], value + 1)
