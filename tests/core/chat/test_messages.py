"""The order in which messages are checked and their images fetched (chat §9)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.chat.images import prepared
from sogni.core.http import HttpReply
from sogni.core.media import data_uri
from sogni.errors import SogniConnectionError, ValidationError
from tests.core.play import Stage, refused
from tests.core.test_media_inline import png

BODY = png(4, 4)
URL = data_uri("image/png", BODY)
ADDRESS = "https://cdn.sogni.ai/a.png"
GET = f"GET {ADDRESS}"


def user(*urls: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}} for url in urls]}


def test_messages_without_images_stay_as_they_are() -> None:
    messages = [{"role": "user", "content": "hello"}]
    assert Stage().play(prepared(messages)) == messages


def test_every_image_becomes_a_data_uri() -> None:
    answer = (GET, HttpReply(status=200, body=BODY))
    assert Stage().play(prepared([user(URL, ADDRESS), user(URL)]), answer) == [user(URL, URL), user(URL)]
    assert Stage().play(prepared([user(URL)])) == [user(URL)]


def test_a_fetch_that_fails_in_passing_is_repeated() -> None:
    script = [(GET, SogniConnectionError("gone")), ("pause 0.25 ±20%", None), (GET, refused(503))]
    script += [("pause 0.5 ±20%", None), (GET, HttpReply(status=200, body=BODY))]
    made = Stage().play(prepared([user(ADDRESS)]), *script)
    assert made == [user(URL)]


@pytest.mark.parametrize("urls", [("data:image/png;base64,AAAA", ADDRESS), (ADDRESS, "https://example.com/a.png")])
def test_nothing_is_fetched_when_anything_can_be_refused_before(urls: tuple[str, ...]) -> None:
    Stage().fail(ValidationError, prepared([user(*urls)]))
