"""Announcements of the service to its users."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from attrs import field, frozen

from sogni.models.base import EPOCH, LooseModel, redacted_repr


@frozen(kw_only=True)
class AnnouncementAction(LooseModel):
    """A link of an announcement.

    Attributes:
        label: Text of the link.
        href: URL of the link, ``http`` or ``https``.
        external: Whether to open the link outside of the application.
    """

    label: str = ""
    href: str = field(default="", repr=redacted_repr)
    external: bool | None = None


@frozen(kw_only=True)
class Announcement(LooseModel):
    """An announcement of the service.

    Attributes:
        id: ID of the announcement; it stays the same however often the announcement is delivered.
        kind: ``"toast"`` (shown once) or ``"banner"`` (shown until it is dismissed or ends).
        severity: ``"info"``, ``"success"``, ``"warn"`` or ``"danger"``.
        icon: Name of an icon, such as ``"megaphone"``; None to derive it from the severity.
        accent: Color as ``"#RRGGBB"``.
        title: Title.
        body_markdown: Text, in Markdown restricted to bold, italic, inline code, strikethrough, links and line breaks.
        pinned: Whether the announcement is delivered again after every reconnection.
        dismissible: Whether the user can dismiss it.
        auto_close_ms: Milliseconds after which to hide it; for toasts only.
        actions: Links.
        starts_at: When it becomes visible.
        ends_at: When it ends; banners always have an end.
    """

    id: str
    kind: Literal["toast", "banner"] | str = "toast"
    severity: Literal["info", "success", "warn", "danger"] | str = "info"
    icon: str | None = None
    accent: str | None = None
    title: str = field(default="", repr=redacted_repr)
    body_markdown: str = field(default="", repr=redacted_repr)
    pinned: bool = False
    dismissible: bool = False
    auto_close_ms: float | None = None
    actions: list[AnnouncementAction] = field(factory=list)
    starts_at: datetime | None = field(default=None, metadata=EPOCH)
    ends_at: datetime | None = field(default=None, metadata=EPOCH)
