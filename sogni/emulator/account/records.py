"""Accounts in the forms of the REST API and of the socket, and the leaderboard."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sogni.emulator.account.accounts import Account, Transaction, decimal_text
from sogni.emulator.account.memberships import NO_MEMBERSHIP, NO_SNAPSHOT

# Protocol notes: transport §9; account §5, §6.1, §13, §14.


def me_record(account: Account) -> dict[str, str | bool]:
    return {
        "currentEmail": account.email,
        "discord2FA": False,
        "discordLinked": False,
        "discordServerMember": False,
        "discordUsername": "",
        "emailVerified": True,
        "requestedUpdatedEmail": "",
        "username": account.username,
        "walletAddress": account.wallet_address,
    }


def balance_frame(account: Account) -> dict[str, dict[str, str]]:
    """Return the payload of ``balanceUpdate``."""
    amounts = account.funds.wire()
    return {"sogni": amounts["sogni"], "spark": {**amounts["spark"], "premiumCredit": "0"}}


def balance_record(account: Account) -> dict[str, dict[str, str]]:
    """Return the data of ``GET /v4/account/balance``."""
    unclaimed = {"relaxedUnclaimed": "0", "fastUnclaimed": "0"}
    return {token: {**amounts, **unclaimed} for token, amounts in balance_frame(account).items()}


def subscription_record(account: Account) -> dict[str, object]:
    return dict(NO_SNAPSHOT) if account.membership is None else account.membership.snapshot()


def entitlement_frame(account: Account) -> dict[str, object]:
    """Return the payload of ``subscriptionEntitlementUpdated``."""
    entitlement = NO_MEMBERSHIP if account.membership is None else account.membership.entitlement()
    return {**entitlement, **free_spark_fields(account)}


def free_spark_fields(account: Account) -> dict[str, object]:
    """Return whether free Spark is locked, in the form of the socket; nothing if that is unset."""
    if account.free_spark_lock is None:
        return {}
    locked, path = account.free_spark_lock
    return {"freeSparkLocked": locked, **({} if path is None else {"freeSparkUnlockPath": path})}


# The leaderboard (account §12.4): the accounts of the emulator compete with invented ones, so that there are several
# pages. The values of these depend on type and period alone.


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
