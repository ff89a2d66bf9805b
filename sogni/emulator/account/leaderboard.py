"""The leaderboard: the accounts of the emulator compete with invented ones, so that there are several pages.

The values of these depend on type and period alone.
"""
# Protocol notes: account §12.4.

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sogni.emulator.account.accounts import Account, Transaction, decimal_text

TYPES = (
    *("renderUSDCompleteWorker", "renderUSDCompleteArtist", "renderSecCompleteWorker", "renderSecCompleteArtist"),
    *("renderTokenCompleteWorker", "renderTokenCompleteWorker2", "renderTokenCompleteArtist"),
    *("renderTokenCompleteArtist2", "jobCompleteWorker", "jobCompleteArtist", "projectCompleteArtist"),
    *("uloginWorker", "uloginArtist", "tokenVolume", "referral"),
)
PERIODS = ("day", "lifetime")
NETWORKS = ("fast", "relaxed", "all")
_INVENTED = 45
_COUNTRIES = ("US", "DE", "JP", "BR", "CA", "FR", "IN")
_DAY = 24 * 3600


def ranking(accounts: Sequence[Account], type: str, period: str, network: str, now: float) -> list[dict[str, Any]]:
    """Return every entry with a value above 0, the best first."""
    entries = []
    for number in range(_INVENTED):
        digest = hashlib.sha256(f"{type} {period} {network} {number}".encode()).digest()
        address = "0x" + hashlib.sha256(f"artist {number}".encode()).hexdigest()[:40]
        value = Decimal(int.from_bytes(digest[:4]) % 10_000_000).scaleb(-2) + 1
        entries.append((value, f"dreamer-{number:02}", address, _COUNTRIES[number % len(_COUNTRIES)]))
    since = now - _DAY if period == "day" else 0.0
    for account in accounts:
        recent = [t for t in account.ledger.newest_first() if since <= t.time <= now]
        entries.append((_value(recent, type), account.username, account.wallet_address, ""))
    entries.sort(key=lambda entry: (-entry[0], entry[1]))
    role = "worker" if "Worker" in type else "artist"
    return [
        {
            "rank": rank,
            "username": username,
            "address": address,
            "country": country,
            "value": decimal_text(value),
            "role": role,
        }
        for rank, (value, username, address, country) in enumerate((it for it in entries if it[0] > 0), 1)
    ]


def _value(transactions: Sequence[Transaction], type: str) -> Decimal:
    renders = [t for t in transactions if t.source == "project"]
    if type == "projectCompleteArtist":
        return Decimal(len(renders))
    if type in ("renderTokenCompleteArtist", "renderTokenCompleteArtist2"):
        token = "spark" if type.endswith("2") else "sogni"
        return -sum((t.amount for t in renders if t.token == token), Decimal(0))
    return sum((abs(t.amount) for t in transactions), Decimal(0)) if type == "tokenVolume" else Decimal(0)
