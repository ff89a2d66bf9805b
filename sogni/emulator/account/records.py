"""Accounts in the forms of the REST API and of the socket."""

from __future__ import annotations

from sogni.emulator.account.accounts import Account
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
