"""Announcements: the list, dismissing one, and live ones (account §16; transport §9.5)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sogni.core.announcements import active_announcements, dismiss_announcement
from sogni.core.client_state import _MAX_ALERTS
from sogni.errors import NotFoundError, ProtocolError, SogniConnectionError, ValidationError
from sogni.models.account import FairUse, SubscriptionLimitNotice
from sogni.models.announcements import Announcement, AnnouncementAction
from sogni.models.converter import read_time, to_dict
from tests.core.play import Stage, bare, ok, refused
from tests.tables import each_row

ACTIVE = "GET rest/v1/announcements/active"
WIRE = {
    "id": "a-1",
    "kind": "banner",
    "severity": "warn",
    "icon": "wrench",
    "accent": "#ff8800",
    "title": "Maintenance",
    "bodyMarkdown": "Tonight",
    "pinned": True,
    "dismissible": True,
    "autoCloseMs": 5000,
    "actions": [{"label": "More", "href": "https://sogni.ai/status", "external": True}],
    "startsAt": 1_800_000_000_000,
    "endsAt": 1_800_000_060_000,
}
READ = Announcement(
    id="a-1",
    kind="banner",
    severity="warn",
    icon="wrench",
    accent="#ff8800",
    title="Maintenance",
    body_markdown="Tonight",
    pinned=True,
    dismissible=True,
    auto_close_ms=5000,
    actions=[AnnouncementAction(label="More", href="https://sogni.ai/status", external=True)],
    starts_at=datetime(2027, 1, 15, 8, tzinfo=UTC),
    ends_at=datetime(2027, 1, 15, 8, 1, tzinfo=UTC),
)


def test_every_field_of_an_announcement_is_read_and_written() -> None:
    assert Stage().play(active_announcements(None), (ACTIVE, ok({"announcements": [WIRE]}))) == [READ]
    assert to_dict(READ) == WIRE


def test_a_platform_is_named_only_if_it_is_given() -> None:
    answer = (f"{ACTIVE}?platform=sogni-mac", ok({"announcements": []}))
    assert Stage().play(active_announcements("sogni-mac"), answer) == []


@each_row("value", ["", " ", 5])
def test_a_platform_is_a_name(value: Any) -> None:
    assert Stage().fail(ValidationError, active_announcements(value)).field == "platform"


@each_row(
    ("answer", "count"),
    [(ok({}), 0), (ok(None), 0), (ok({"announcements": None}), 0), (bare({"announcements": [WIRE]}), 1)],
)
def test_the_list_may_be_missing_or_stand_without_an_envelope(answer: Any, count: int) -> None:
    assert len(Stage().play(active_announcements(None), (ACTIVE, answer))) == count


@each_row("answer", [bare([]), bare(None), ok({"announcements": {}}), ok({"announcements": [{"title": "no id"}]})])
def test_anything_else_is_malformed(answer: Any) -> None:
    Stage().fail(ProtocolError, active_announcements(None), (ACTIVE, answer))


def test_odd_values_do_not_hide_an_announcement() -> None:
    (found,) = Stage().play(
        active_announcements(None), (ACTIVE, ok({"announcements": [{"id": "a", "startsAt": "soon", "pinned": 1}]}))
    )
    assert (found.pinned, found.starts_at, found.extra) == (False, None, {"startsAt": "soon", "pinned": 1})


def test_links_are_redacted_in_the_repr() -> None:
    link = "https://store/file?X-Amz-Signature=secret"
    shown = repr(Announcement(id="a", body_markdown=f"[x]({link})", actions=[AnnouncementAction(href=link)]))
    assert "secret" not in shown


def test_dismissing_is_repeated_until_it_arrives_and_names_unknown_ids() -> None:
    stage, place = Stage(), "POST rest/v1/announcements/a%2F1/dismiss"
    lost = SogniConnectionError("lost")
    answers = ((place, lost), ("pause 0.25 ±20%", None), (place, ok({"dismissed": True, "id": "a/1"})))
    assert stage.play(dismiss_announcement("a/1"), *answers) is None
    assert [call.body for call in stage.calls] == [{}, {}]
    error = stage.fail(NotFoundError, dismiss_announcement("a/1"), (place, refused(404, "Unknown")))
    assert (error.message, error.status) == ("there is no announcement 'a/1': Unknown", 404)
    assert stage.fail(ValidationError, dismiss_announcement("")).field == "id"


# -- live ----------------------------------------------------------------------


def listening() -> tuple[Stage, list[Any]]:
    stage, heard = Stage().connects(), []
    stage.state.listeners.add("app_alert", heard.append)
    return stage, heard


def test_a_pinned_alert_that_comes_again_is_delivered_once() -> None:
    stage, _ = listening()
    stage.receives("appAlert", WIRE).reconnects().receives("appAlert", WIRE).receives("appAlert", {"id": "a-2"})
    assert stage.told("app_alert") == [READ, Announcement(id="a-2")]


def test_an_alert_without_a_listener_is_delivered_when_it_comes_again() -> None:
    stage = Stage().connects().receives("appAlert", WIRE)
    assert stage.told("app_alert") == []
    stage.state.listeners.add("app_alert", print)
    assert stage.receives("appAlert", WIRE).told("app_alert") == [READ]


def test_the_next_account_receives_alerts_of_its_own() -> None:
    stage, _ = listening()
    stage.receives("appAlert", WIRE)
    stage.state.session.generation += 1
    assert len(stage.receives("appAlert", WIRE).told("app_alert")) == 2


def test_only_so_many_alerts_are_remembered() -> None:
    stage, _ = listening()
    for number in range(_MAX_ALERTS + 1):
        stage.receives("appAlert", {"id": str(number)})
    stage.receives("appAlert", {"id": "0"}).receives("appAlert", {"id": str(_MAX_ALERTS)})
    assert len(stage.told("app_alert")) == _MAX_ALERTS + 2


def test_a_limit_notice_is_read() -> None:
    payload = {
        "version": 1,
        "reason": "queue_limit",
        "severity": "warning",
        "code": 4079,
        "message": "Full",
        "currentPlan": "unlimited",
        "subscriptionTier": "unlimited",
        "fairUse": {"limited": True, "resetAt": 5000},
        "requiredPlans": ["unlimited_pro"],
        "new": 1,
    }
    stage = Stage().connects().receives("subscriptionLimitNotice", payload)
    assert stage.told("subscription_limit_notice") == [
        SubscriptionLimitNotice(
            version=1,
            reason="queue_limit",
            severity="warning",
            code=4079,
            message="Full",
            current_plan="unlimited",
            subscription_tier="unlimited",
            fair_use=FairUse(limited=True, reset_at=read_time(5000)),
            required_plans=["unlimited_pro"],
            extra={"new": 1},
        )
    ]
