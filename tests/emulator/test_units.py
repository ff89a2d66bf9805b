"""Unit tests that need no server."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from sogni.emulator.account.accounts import Balance, InsufficientFundsError, decimal_text, make_account
from sogni.emulator.connections import Frame, FrameError, Subscriptions, decode, encode
from sogni.emulator.faults import Faults, HttpFault
from sogni.emulator.projects.orders import Order, performed_steps
from sogni.emulator.projects.projects import Project, Projects
from sogni.emulator.projects.storage import AccessDeniedError, Key, Signer, Store
from sogni.emulator.recorder import RecordedFrame, Recorder
from sogni.emulator.state import IdSource


@pytest.mark.parametrize("payload", ["fast", None, 3, {"a": "ü\u2028"}, []])
def test_any_payload_survives_the_envelope(payload: object) -> None:
    assert decode(encode("x", payload)) == Frame("x", payload)


@pytest.mark.parametrize("message", ["", "[]", "{}", '{"type":1}', '{"type":"x","data":1}', '{"type":"x","data":"e"}'])
def test_an_invalid_envelope_is_refused(message: str) -> None:
    with pytest.raises(FrameError):
        decode(message)


def test_a_reservation_holds_and_a_settlement_pays() -> None:
    account = make_account(spark=10)
    account.funds.reserve("spark", Decimal(6))
    assert account.balance.spark == 4
    with pytest.raises(InsufficientFundsError, match="costs 5 spark, the account has 4"):
        account.funds.reserve("spark", Decimal(5))
    account.funds.settle("spark", Decimal(6), Decimal(2))
    assert account.balance.spark == 8


def test_setting_a_balance_leaves_reservations_alone() -> None:
    account = make_account(spark=10)
    account.funds.reserve("spark", Decimal(6))
    account.set_balance(spark=1)
    account.funds.settle("spark", Decimal(6), Decimal(6))
    assert account.balance.spark == 1


KREA = "krea2_turbo_fp8_scaled"


def test_free_credits_are_spent_before_paid_ones() -> None:
    account = make_account(spark=10, sogni=0, free_spark=4)
    assert account.funds.reserve("spark", Decimal(6), model_id=KREA)
    assert account.balance == Balance(spark=8, free_spark=0)
    account.funds.settle("spark", Decimal(6), Decimal(1), free_credits=True)
    assert account.balance == Balance(spark=10, free_spark=3)


def test_other_models_leave_free_credits_alone() -> None:
    account = make_account(spark=10, sogni=0, free_spark=4)
    assert not account.funds.reserve("spark", Decimal(10), model_id="flux1-schnell-fp8")
    with pytest.raises(InsufficientFundsError, match=f"the account has 0; its 4 free credits pay for {KREA} only"):
        account.funds.reserve("spark", Decimal(1))
    account.funds.settle("spark", Decimal(10), Decimal(10))
    assert account.balance == Balance(free_spark=4)


def test_locked_free_credits_pay_for_nothing() -> None:
    account = make_account(spark=1, sogni=0, free_spark=4)
    account.free_spark_lock = (True, "purchase")
    assert not account.funds.reserve("spark", Decimal(1), model_id=KREA)
    with pytest.raises(InsufficientFundsError, match="the account has 0; its 4 free credits are locked"):
        account.funds.reserve("spark", Decimal(1), model_id=KREA)


def test_setting_free_credits_leaves_reservations_alone() -> None:
    account = make_account(spark=10, sogni=0, free_spark=4)
    account.funds.reserve("spark", Decimal(6), model_id=KREA)
    account.set_balance(free_spark=400)
    account.funds.settle("spark", Decimal(6), Decimal(6), free_credits=True)
    assert account.balance == Balance(spark=8, free_spark=400)


def test_the_key_of_an_account_is_not_in_its_repr() -> None:
    account = make_account(api_key="topsecret")
    assert "topsecret" not in repr(account)


@pytest.mark.parametrize(("amount", "text"), [("1.50", "1.5"), ("100", "100"), ("0E-6", "0"), ("1E+3", "1000")])
def test_amounts_are_plain_decimals(amount: str, text: str) -> None:
    assert decimal_text(Decimal(amount)) == text


@pytest.mark.parametrize(("steps", "denoise", "performed"), [(20, 0, 20), (20, 1, 20), (20, 0.3, 6), (4, 0.01, 1)])
def test_a_starting_image_saves_steps(steps: int, denoise: float, performed: int) -> None:
    assert performed_steps(steps, denoise) == performed


def test_a_group_of_events_beats_its_members() -> None:
    requested = Subscriptions()
    assert requested.wants("swarmModels")
    assert not requested.wants("appAlert")
    requested.update({"modelAvailability": False, "subscriptions": {"modelAvailability": False, "swarmModels": True}})
    assert not requested.wants("swarmModels")
    requested.update({"reset": True, "unsubscribe": "jobETA", "subscribe": ["appAlert"]})
    assert (requested.wants("swarmModels"), requested.wants("jobETA"), requested.wants("appAlert")) == (
        True,
        False,
        True,
    )
    requested.update({"event": "jobETA", "enabled": True})
    assert requested.wants("jobETA")
    requested.update(None)
    assert requested.wants("anythingNew")


def test_authenticated_cannot_be_unsubscribed() -> None:
    requested = Subscriptions()
    requested.update({"unsubscribe": ["authenticated"]})
    assert requested.wants("authenticated")


def test_a_signature_grants_one_verb_for_one_file_until_it_expires() -> None:
    now = [0.0]
    signer = Signer(lambda: now[0])
    key = Key("P", "I", "complete")
    query = signer.sign("GET", key, lifetime=60)
    signer.check("GET", key, query, None)
    for verb, other in (("PUT", key), ("GET", Key("P", "J", "complete"))):
        with pytest.raises(AccessDeniedError, match="signature"):
            signer.check(verb, other, query, None)
    with pytest.raises(AccessDeniedError, match="signature"):
        signer.check("GET", key, {**query, "X-Amz-Expires": "9000"}, None)
    now[0] = 60
    with pytest.raises(AccessDeniedError, match="expired"):
        signer.check("GET", key, query, None)


def test_a_steady_url_stays_the_same_for_half_of_its_lifetime() -> None:
    now = [1000.0]
    signer, key = Signer(lambda: now[0]), Key("P", "", "startingImage")
    first = signer.sign("GET", key, lifetime=100, steady=True)
    now[0] = 1049
    assert signer.sign("GET", key, lifetime=100, steady=True) == first
    signer.check("GET", key, first, None)
    now[0] = 1051
    assert signer.sign("GET", key, lifetime=100, steady=True) != first


def test_ids_are_upper_case_and_repeatable() -> None:
    assert IdSource(4).uuid().isupper()
    assert IdSource(4).uuid() == IdSource(4).uuid() != IdSource(5).uuid()


def test_a_rule_is_spent_after_its_uses() -> None:
    faults = Faults()
    rule = faults.http("/v1/*", status=500, times=2)
    assert faults.take(HttpFault, "GET", "/v2/x") is None
    assert [faults.take(HttpFault, "GET", "/v1/x") for _ in range(3)] == [rule, rule, None]
    assert rule.spent


def test_the_recorder_keeps_the_newest() -> None:
    recorder = Recorder(limit=2)
    for number in range(3):
        recorder.add(RecordedFrame(number, "x", None))
    assert [it.connection for it in recorder.arrivals() if isinstance(it, RecordedFrame)] == [1, 2]


def test_the_recorder_drops_the_oldest_when_bodies_are_large() -> None:
    recorder = Recorder(size_limit=100)
    for number, size in enumerate((10, 60, 30, 20)):
        recorder.add(RecordedFrame(number, "x", None, size=size))
    assert [it.connection for it in recorder.arrivals() if isinstance(it, RecordedFrame)] == [2, 3]
    recorder.add(RecordedFrame(4, "x", None, size=500))
    assert [it.connection for it in recorder.arrivals() if isinstance(it, RecordedFrame)] == [4]


async def test_a_file_is_made_once_when_it_is_read_and_forgotten_after_a_day(tmp_path: Path) -> None:
    now, made = [0.0], []

    def produce(path: Path) -> None:
        made.append(path)
        path.write_bytes(b"x")

    with ThreadPoolExecutor(2) as executor:
        store = Store(executor, lambda: now[0])
        key = Key("P", "I", "complete")
        store.put_later(key, produce, "image/png")
        stored = store.find(key)
        assert stored is not None
        assert made == []
        paths = await asyncio.gather(*(store.ready(stored) for _ in range(3)))
        assert set(paths) == set(made) == {stored.path}
        now[0] = 25 * 3600.0
        store.put_later(Key("P", "J", "complete"), produce, "image/png")
        assert store.find(key) is None
        assert not stored.path.exists()
        store.close()


def test_finished_projects_are_forgotten_after_a_day() -> None:
    now = [0.0]
    projects = Projects(lambda: now[0])
    account, order = make_account(), cast("Order", None)
    first, second = (Project(name, 1, account, "app", order, Decimal(0), 0.0) for name in "AB")
    projects.add(first)
    first.end("completed", "allJobsCompleted", now[0], claimed=False)
    assert projects.unclaimed(account, "app") == [first]
    now[0] = 2 * 3600.0
    assert projects.unclaimed(account, "app") == []
    now[0] = 25 * 3600.0
    projects.add(second)
    assert list(projects) == [second]
