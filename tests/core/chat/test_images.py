"""Images in messages (chat §9)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.chat.images import MAX_BYTES, Image, check_inline, fetch_call, fetched, images_of, with_images
from sogni.core.http import HttpReply
from sogni.core.media import data_uri
from sogni.errors import NotFoundError, ValidationError
from tests.core.test_media_inline import jpeg, png

URL = data_uri("image/png", png(4, 4))
REMOTE = "https://cdn.sogni.ai/a.png?sig=secret"
TEXT = {"type": "text", "text": "look"}


def part(url: Any = URL, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}, "extra": 1}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def test_images_are_found_where_they_stand() -> None:
    messages = ["odd", {"role": "user", "content": "text"}, user(TEXT, "odd", part(f" {URL} ", detail="low")), user()]
    assert images_of(messages) == [Image(2, 2, URL, "low")]


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"type": "image_url"}, "NoneType"),
        ({"type": "image_url", "image_url": URL}, "str"),
        (part(None), "dict"),
        (part(""), ""),
        (part("/tmp/a.png"), "/tmp/a.png"),
        (part("http://cdn.sogni.ai/a"), "http://cdn.sogni.ai/a"),
        (part("https://example.com/a?token=secret"), "https://example.com/a"),
    ],
)
def test_what_is_no_address_of_an_image_is_refused_by_its_place(given: Any, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        images_of([user(TEXT), user(TEXT, given)])
    assert (caught.value.field, caught.value.value) == ("messages[1].content[1]", value)
    assert "secret" not in str(caught.value)


def test_twenty_images_are_the_most() -> None:
    assert len(images_of([user(*[part()] * 10)] * 2)) == 20
    with pytest.raises(ValidationError, match="at most 20 images, got '21 images'"):
        images_of([user(*[part()] * 10), user(*[part()] * 11)])


def test_what_the_request_brings_along_is_looked_at() -> None:
    check_inline([Image(0, 0, URL), Image(0, 1, REMOTE)])
    with pytest.raises(ValidationError, match=r"messages\[0\]\.content\[2\].*1024 pixels"):
        check_inline([Image(0, 2, data_uri("image/jpeg", jpeg(1025, 1)))])


def test_parts_are_rebuilt_of_what_was_checked() -> None:
    messages = [user(TEXT, part(), part(REMOTE, detail="high")), user(TEXT)]
    images = images_of(messages)
    made = with_images(messages, {images[0]: URL, images[1]: "data:x"})
    assert made[0]["content"] == [
        TEXT,
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": {"url": "data:x", "detail": "high"}},
    ]
    assert messages[0]["content"][1] == part()
    assert made[1] is messages[1]


# --- from elsewhere (chat §9.5)

IMAGE = Image(0, 1, REMOTE)


def got(body: bytes = png(4, 4), status: int = 200, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return fetched(IMAGE, fetch_call(IMAGE), HttpReply(status=status, body=body, headers=named, url=REMOTE))


def test_a_fetch_is_limited() -> None:
    call = fetch_call(IMAGE)
    assert (call.path, call.host, call.timeout, call.redirects, call.max_bytes) == (
        REMOTE, "storage", 20, False, MAX_BYTES,
    )  # fmt: skip


def test_a_fetched_image_becomes_a_data_uri() -> None:
    assert got() == URL
    assert got(content_type="IMAGE/PNG; x=y") == URL
    assert got(jpeg(4, 4), content_type="binary/octet-stream") == data_uri("image/jpeg", jpeg(4, 4))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"status": 302}, "does not redirect, got 'HTTP 302'"),
        ({"content_length": str(MAX_BYTES + 1), "body": b""}, f"at most {MAX_BYTES} bytes"),
        ({"body": png(4, 4) + b"x" * MAX_BYTES}, f"at most {MAX_BYTES} bytes"),
        ({"body": b"<html>", "content_type": "text/html"}, "a PNG or JPEG image"),
        ({"body": png(1025, 1)}, "1024 pixels"),
        ({"content_type": "image/jpeg"}, "contains no JPEG"),
    ],
)
def test_what_was_fetched_is_checked_too(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        got(**answer)
    assert caught.value.field == "messages[0].content[1]"


def test_a_refusal_keeps_its_status_and_names_the_part() -> None:
    with pytest.raises(NotFoundError) as caught:
        got(b"", 404)
    assert (caught.value.status, caught.value.__notes__) == (404, ["while fetching messages[0].content[1]"])
    assert "secret" not in str(caught.value)
