"""Announcements of the service: those that are active now, and dismissing one."""

# account §16; live announcements: transport §9.5

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sogni.core.checks import optional, path_segment, short_repr, text
from sogni.core.flow import Flow
from sogni.core.http import get, json_of, post
from sogni.core.requests import naming, request, request_done
from sogni.errors import ProtocolError
from sogni.models.announcements import Announcement
from sogni.models.converter import read

_ROOT = "/v1/announcements"


def active_announcements(platform: Any) -> Flow[list[Announcement]]:
    """Fetch the announcements that are active now and have not been dismissed."""
    call = get(f"{_ROOT}/active", platform=optional(text, "platform", platform, empty=False))
    body = json_of(call, (yield from request(call)))
    # Some servers send no envelope; one that has no announcements may omit the list.
    data = body.get("data") if isinstance(body, Mapping) else None
    answer = data if isinstance(data, Mapping) else body
    if not isinstance(answer, Mapping):
        raise ProtocolError(f"GET {call.path}: the response has no data")
    listed = answer.get("announcements")
    return read(list[Announcement], [] if listed is None else listed, f"the response to GET {call.path}")


def dismiss_announcement(announcement_id: Any) -> Flow[None]:
    """Dismiss an announcement. Doing so twice does no harm, so the request is repeatable."""
    call = post(f"{_ROOT}/{path_segment('id', announcement_id)}/dismiss", repeatable=True)
    yield from naming(f"announcement {short_repr(announcement_id)}", request_done(call))
