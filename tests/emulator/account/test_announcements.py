"""Announcements and notices of the emulator (account §16; transport §9.5)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.emulator import LocalSupernet, Membership
from tests.emulator.account.helpers import error_of, post
from tests.emulator.wire import Wire

ACTIVE = "/v1/announcements/active"
ALERTS = '{"appAlert":true,"subscriptionLimitNotice":true}'


def listed(wire: Wire, **query: str) -> list[str]:
    return [it["title"] for it in wire.data(ACTIVE, **query)["announcements"]]


def test_an_announcement_has_one_form_for_each_connection(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    with Wire(supernet, app_id="other") as other:
        other.connect(socketEventSubscriptions=ALERTS)
        other.next("swarmModels")
        wire.next("swarmModels")
        news = supernet.announce(
            "News",
            "Now **faster**",
            severity="danger",
            auto_close_ms=500,
            actions=[{"label": "x", "href": "https://x"}],
        )
        alert = other.receive()
        assert alert[0] == "appAlert"
        assert wire.receive() == (
            "toastMessage",
            {"type": "error", "message": "News: Now **faster**", "autoClose": 500},
        )
        assert wire.data(ACTIVE)["announcements"] == [alert[1]]
        assert alert[1] == {
            "id": news,
            "kind": "toast",
            "severity": "danger",
            "title": "News",
            "bodyMarkdown": "Now **faster**",
            "pinned": False,
            "dismissible": True,
            "autoCloseMs": 500,
            "actions": [{"label": "x", "href": "https://x"}],
            "startsAt": alert[1]["startsAt"],
        }


def test_pinned_alerts_come_with_every_connection_until_they_are_dismissed(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.announce("once")
    pinned = supernet.announce("pinned", kind="banner", pinned=True)
    for _ in range(2):
        assert wire.connect(socketEventSubscriptions=ALERTS).next("appAlert")["endsAt"] > 0
    assert wire.connect().next("toastMessage") == {"type": "info", "message": "pinned", "stickyID": pinned}
    assert post(wire, f"/v1/announcements/{pinned}/dismiss", {}).json()["data"] == {"dismissed": True, "id": pinned}
    assert listed(wire) == ["once"]
    supernet.announce("later", pinned=True)
    assert wire.connect(socketEventSubscriptions=ALERTS).next("appAlert")["title"] == "later"


def test_what_is_for_one_platform_or_over_is_withheld(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.announce("mac", platforms=["sogni-mac"])
    supernet.announce("over", lifetime=-1)
    supernet.announce("all")
    assert listed(wire) == ["all"]
    assert listed(wire, platform="sogni-web") == ["all"]
    assert listed(wire, platform="sogni-mac") == ["all", "mac"]
    assert error_of(wire.get(ACTIVE, platform=" ")) == (400, 0)
    assert not supernet.violations
    wire.get(ACTIVE, plattform="x")
    assert supernet.violations


def test_dismissals_are_checked(wire: Wire, supernet: LocalSupernet) -> None:
    assert error_of(post(wire, "/v1/announcements/nothing/dismiss", {})) == (404, 102)
    kept = supernet.announce("stays", dismissible=False)
    assert error_of(post(wire, f"/v1/announcements/{kept}/dismiss", {})) == (409, 409)
    assert error_of(post(wire, f"/v1/announcements/{kept}/dismiss", {}, headers={})) == (401, 101)
    assert listed(wire) == ["stays"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "popup"}, {"severity": "warning"}, {"icon": "skull"}, {"accent": "red"},
        {"actions": [{"label": "x"}]}, {"actions": [{"label": "x", "href": "javascript:1"}]},
    ],
)  # fmt: skip
def test_an_announcement_that_the_service_could_not_make_is_refused(supernet: LocalSupernet, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"must be|an action has"):
        supernet.announce("x", **wrong)


def test_limit_notices_go_to_those_who_want_them(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect(socketEventSubscriptions=ALERTS)
    supernet.set_subscription(Membership(fair_use={"limited": True, "resetAt": 5.0}))
    supernet.send_limit_notice("Full", required_plans=["unlimited_pro"])
    assert wire.next("subscriptionLimitNotice") == {
        "version": 1,
        "reason": "queue_limit",
        "severity": "warning",
        "code": 4079,
        "message": "Full",
        "currentPlan": "unlimited",
        "subscriptionTier": "unlimited",
        "fairUse": {"limited": True, "resetAt": 5000},
        "requiredPlans": ["unlimited_pro"],
    }
