"""Subscription frames of the socket, and which snapshot counts (account §13.5, §14)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.account.state import AccountState, Ordering, snapshot_of, version_of
from sogni.core.outbox import Outbox
from sogni.errors import ProtocolError
from sogni.models.account import Subscription
from sogni.models.converter import read_time
from tests.tables import each_row

NOW = 1_000.0


def told(status: str = "active", active: bool = True, **given: Any) -> Subscription:
    return snapshot_of({"active": active, "subscription": {"status": status, "tier": "unlimited", **given}}, NOW)


@pytest.mark.parametrize("given", [{}, {"active": True}, {"active": True, "subscription": {"tier": "unlimited"}}])
def test_without_a_status_there_is_no_subscription(given: dict[str, Any]) -> None:
    assert snapshot_of(given, NOW) == Subscription(active=False, status="none")


@each_row(
    ("status", "active", "expected"),
    [
        ("trialing", True, "trialing"),
        ("expired", False, "expired"),
        ("grace", False, "grace_period"),
        ("cancelled", True, "cancel_at_period_end"),
        ("cancelled", False, "canceled"),
        ("revoked", False, "canceled"),
        ("needs_reconciliation", False, "past_due"),
        ("new word", True, "active"),
        ("new word", False, "none"),
    ],
)
def test_statuses(status: str, active: bool, expected: str) -> None:
    snapshot = told(status, active)
    assert (snapshot.status, snapshot.active, snapshot.is_unlimited) == (expected, active, active)


def test_times_are_milliseconds_and_zero_is_none() -> None:
    snapshot = told("grace", False, periodStart=0, periodEnd=1000, graceEnd=5000, scheduledChangeAt=7000)
    found = (snapshot.current_period_start, snapshot.current_period_end, snapshot.scheduled_change_at)
    assert found == (None, read_time(5000), read_time(7000))
    assert told("active", True, periodEnd=1000, graceEnd=5000).current_period_end == read_time(1000)
    assert told("grace", False, periodEnd=1000, graceEnd=None).current_period_end == read_time(1000)


@pytest.mark.parametrize("status", [5, ["active"], {"a": 1}])
def test_a_status_that_is_no_text_cannot_be_read(status: Any) -> None:
    with pytest.raises(ProtocolError):
        told(status)


def test_flags() -> None:
    assert [told(s).cancel_at_period_end for s in ("active", "cancelled")] == [None, True]
    assert told("cancelled", cancelAtPeriodEnd=False).cancel_at_period_end is False
    assert [told(paymentPending=flag).payment_pending for flag in (True, False)] == [True, None]
    assert [told(capabilities=it).capabilities for it in ({"a": True}, None)] == [{"a": True}, {"unlimited": True}]
    assert told(active=False).capabilities == {}


def test_a_limit_counts_until_its_reset() -> None:
    limit = told(fairUse={"limited": True, "resetAt": 2_000_000, "usageSpark": "5"}).fair_use
    assert limit is not None
    assert limit.reset_at == read_time(2_000_000)
    for none in (
        None,
        {"limited": False},
        {"limited": True},
        {"limited": True, "resetAt": 1_000_000},
        {"limited": True, "resetAt": 10**400},
    ):
        assert told(fairUse=none).fair_use is None


def test_an_entitlement_nobody_can_read() -> None:
    with pytest.raises(ProtocolError):
        told(periodEnd="rubbish")


@pytest.mark.parametrize(
    ("value", "version"),
    [(3, 3), ("4", 4), ("x", None), (True, None), (None, None), ("inf", None), (10**400, None)],
)
def test_versions(value: Any, version: float | None) -> None:
    assert version_of(value) == version


def test_an_older_version_is_discarded() -> None:
    order = Ordering()
    assert order.accepts(Subscription(version="5"), requested_at=None)
    assert not order.accepts(Subscription(version=4), requested_at=None)
    assert order.accepts(Subscription(version=5), requested_at=0)
    order.reset()
    assert order.accepts(Subscription(version=1), requested_at=None)


def test_the_socket_is_not_undone_by_a_slower_answer() -> None:
    account = AccountState(Outbox(), "fast")
    requested_at = account.ordering.socket_writes
    account.apply_entitlement({"active": True, "subscription": {"status": "active", "tier": "unlimited"}}, NOW)
    kept = account.apply_subscription(Subscription(), requested_at)
    assert kept is not None
    assert kept.is_unlimited
    assert account.apply_subscription(Subscription(), account.ordering.socket_writes) == Subscription()
    account.apply_entitlement({"active": True, "subscription": {"status": "active", "version": 9}}, NOW)
    account.apply_entitlement({"active": False, "subscription": {"status": "expired", "version": 8}}, NOW)
    assert account.subscription is not None
    assert account.subscription.active


def test_the_lock_of_free_spark_changes_only_when_it_is_told() -> None:
    account = AccountState(Outbox(), "fast")
    account.apply_spark_lock({"freeSparkLocked": True, "freeSparkUnlockPath": "trial"})
    account.apply_spark_lock({"freeSparkUnlockPath": "purchase"})
    assert (account.free_spark_locked, account.free_spark_unlock_path) == (True, "trial")
    account.apply_spark_lock({"freeSparkLocked": False})
    assert (account.free_spark_locked, account.free_spark_unlock_path) == (False, None)
