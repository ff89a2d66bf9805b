"""Announcements of the service: published by tests, listed and dismissed by accounts."""
# Protocol notes: account §16; transport §9.5.

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from attrs import define, field, frozen
from attrs.validators import optional

from sogni.emulator.fields import one_of, present

Kind = Literal["toast", "banner"]
Severity = Literal["info", "success", "warn", "danger"]
Icon = Literal[
    "info", "success", "warning", "error", "megaphone", "wrench", "sparkles", "gift", "rocket", "clock"
]  # fmt: skip
_TOAST_TYPES: Mapping[str, str] = {"info": "info", "success": "success", "warn": "warning", "danger": "error"}
_ACCENT = re.compile(r"#[0-9A-Fa-f]{6}")
_LINK = re.compile(r"https?://\S+")


@frozen(kw_only=True)
class Announcement:
    """One announcement. Times are in epoch seconds; ``platforms`` are the applications it is limited to, if any."""

    id: str
    title: str
    body: str = ""
    kind: Kind = field(default="toast", validator=one_of(get_args(Kind)))
    severity: Severity = field(default="info", validator=one_of(get_args(Severity)))
    icon: Icon | None = field(default=None, validator=optional(one_of(get_args(Icon))))
    accent: str | None = field(default=None)
    pinned: bool = False
    dismissible: bool = True
    auto_close_ms: int | None = None
    actions: Sequence[Mapping[str, Any]] = field(default=())
    platforms: tuple[str, ...] = ()
    starts: float = 0.0
    ends: float | None = None

    @accent.validator
    def _check_accent(self, _: object, value: str | None) -> None:
        if value is not None and not _ACCENT.fullmatch(value):
            raise ValueError(f"accent must be a color as #RRGGBB, got {value!r}")

    @actions.validator
    def _check_actions(self, _: object, value: Sequence[Mapping[str, Any]]) -> None:
        for action in value:
            known = {"label", "href"} <= set(action) <= {"label", "href", "external"}
            if not known or not _LINK.fullmatch(action["href"]):
                raise ValueError("an action has a label, an href (an http or https URL) and perhaps external")

    def live(self, now: float) -> bool:
        return self.starts <= now and (self.ends is None or now < self.ends)

    def wire(self) -> dict[str, object]:
        """Return the announcement as the list and ``appAlert`` send it. Times are in epoch milliseconds."""
        record: dict[str, object] = {
            "id": self.id,
            "kind": self.kind,
            "severity": self.severity,
            "icon": self.icon,
            "accent": self.accent,
            "title": self.title,
            "bodyMarkdown": self.body,
            "pinned": self.pinned,
            "dismissible": self.dismissible,
            "autoCloseMs": self.auto_close_ms,
            "actions": [dict(action) for action in self.actions] or None,
            "startsAt": round(self.starts * 1000),
            "endsAt": None if self.ends is None else round(self.ends * 1000),
        }
        return present(record)

    def toast(self) -> dict[str, object]:
        """Return the payload of ``toastMessage``, for clients that do not subscribe to ``appAlert``."""
        text = f"{self.title}: {self.body}" if self.body else self.title
        message: dict[str, object] = {"type": _TOAST_TYPES[self.severity], "message": text}
        if self.auto_close_ms is not None:
            message["autoClose"] = self.auto_close_ms
        if self.pinned or self.kind == "banner":
            message["stickyID"] = self.id
        return message


@define(eq=False)
class Announcements:
    """What has been published, and which account has dismissed what. Belongs to the server's event loop."""

    _published: dict[str, Announcement] = field(factory=dict)
    _dismissed: set[tuple[int, str]] = field(factory=set)

    def publish(self, announcement: Announcement) -> None:
        self._published[announcement.id] = announcement

    def active(self, account_sid: int, now: float, platform: str | None) -> list[Announcement]:
        """Return what an account sees, newest first. Without a platform, nothing that is limited to one."""
        return [
            it
            for it in reversed(self._published.values())
            if it.live(now)
            and (not it.platforms or platform in it.platforms)
            and (account_sid, it.id) not in self._dismissed
        ]

    def find(self, id: str) -> Announcement | None:
        return self._published.get(id)

    def dismiss(self, account_sid: int, id: str) -> None:
        self._dismissed.add((account_sid, id))

    def clear(self) -> None:
        self._published.clear()
        self._dismissed.clear()
