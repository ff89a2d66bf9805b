"""Usage, trials, announcements and notices, in both packages (additions-5x §9, §10)."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from sogni.emulator import LocalSupernet, Membership
from tests.scenarios.conftest import SOON, Sdk, until

ALERTS = {"appAlert": True, "subscriptionLimitNotice": True}


async def test_usage_and_trials_follow_the_subscription(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    account = client.account
    assert account.current_account is client.current_account
    assert (await sdk.call(account.get_trial_eligibility)).eligible
    supernet.set_subscription(Membership(status="trialing", starts=time.time() - 60, trial_ends=1_900_000_000.0))
    project = await sdk.create(client, token_type="spark")
    await sdk.call(project.wait, timeout=SOON)
    usage = await sdk.call(account.get_subscription_usage)
    assert (usage.period_jobs, usage.trial_credits_limit) == (1, Decimal(500))
    assert usage.trial_credits_used == usage.period_render_spark > 0
    eligibility = await sdk.call(account.get_trial_eligibility)
    assert (eligibility.eligible, eligibility.reason_code) == (False, "not_eligible")


async def test_the_device_and_a_nonce(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    await sdk.call(client.account.set_device_id, "device-1")
    assert supernet.account.device_id == "device-1"
    assert await sdk.call(client.account.get_nonce, supernet.account.wallet_address)
    with pytest.raises(sdk.ValidationError):
        await sdk.call(client.account.set_device_id, "")
    assert not supernet.violations


async def test_announcements_are_listed_and_dismissed(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.announce("News", "Now faster", accent="#00ff00", platforms=["sogni-mac"])
    assert await sdk.call(client.announcements.active) == []
    (news,) = await sdk.call(client.announcements.active, "sogni-mac")
    assert (news.title, news.body_markdown, news.accent, news.extra) == ("News", "Now faster", "#00ff00", {})
    await sdk.call(client.announcements.dismiss, news.id)
    assert await sdk.call(client.announcements.active, platform="sogni-mac") == []
    with pytest.raises(sdk.NotFoundError, match="there is no announcement 'nothing'"):
        await sdk.call(client.announcements.dismiss, "nothing")
    assert not supernet.violations


async def test_pinned_alerts_are_delivered_once_over_reconnects(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, socket_event_subscriptions=ALERTS) as client:
        alerts: list[Any] = []
        toasts: list[Any] = []
        connections: list[Any] = []
        client.on("connected", connections.append)
        client.on("app_alert", alerts.append)
        client.on("toast_message", toasts.append)
        supernet.announce("pinned", pinned=True)
        await sdk.call(client.connect, timeout=SOON)
        await until(lambda: alerts)
        supernet.drop_connections()
        await until(lambda: len(connections) == 2)
        await sdk.call(client.connect, timeout=SOON)
        supernet.announce("later")
        await until(lambda: len(alerts) > 1)
        assert ([it.title for it in alerts], toasts) == (["pinned", "later"], [])


async def test_without_the_subscription_an_alert_is_a_toast(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    news: list[Any] = []
    client.on("app_alert", news.append)
    client.on("toast_message", news.append)
    await sdk.call(client.connect, timeout=SOON)
    supernet.announce("News", severity="warn")
    await until(lambda: news)
    assert [(it.type, it.message) for it in news] == [("warning", "News")]


async def test_a_limit_notice_arrives(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, socket_event_subscriptions=ALERTS) as client:
        notices: list[Any] = []
        client.on("subscription_limit_notice", notices.append)
        await sdk.call(client.connect, timeout=SOON)
        supernet.send_limit_notice("Your queue is full", required_plans=["unlimited"])
        await until(lambda: notices)
        assert (notices[0].message, notices[0].required_plans) == ("Your queue is full", ["unlimited"])
