"""Images in messages: which are allowed, and how they are sent.

Everything that can be checked locally is checked before any image is fetched.
"""

# Images: chat §9.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from sogni.core.chat.requests import checked_messages
from sogni.core.checks import invalid_value
from sogni.core.flow import Flow, compute, http, together
from sogni.core.http import HttpCall, HttpReply, announced_too_long, error_of
from sogni.core.media import checked, data_uri, decoded, is_data_uri, is_trusted_address, type_of
from sogni.core.requests import repeated

MAX_IMAGES = 20
MAX_BYTES = 10 * 1024 * 1024
MAX_SIDE = 1024
FETCH_SECONDS = 20.0
_ALLOWED_URLS = "a data: URI of a PNG or JPEG, or an https URL of the service's own storage"


@frozen
class Image:
    """An image of a message: its position, and the content of its part."""

    message: int
    part: int
    url: str = field(repr=False)
    detail: Any = None

    @property
    def where(self) -> str:
        """The path of the part, for error messages."""
        return f"messages[{self.message}].content[{self.part}]"


def images_of(messages: Sequence[Any]) -> list[Image]:
    """Return all images of a request. Raises `ValidationError` for too many images or one without a URL."""
    found = [
        _image(index, part_index, part)
        for index, message in enumerate(messages)
        if isinstance(message, Mapping) and isinstance(message.get("content"), list)
        for part_index, part in enumerate(message["content"])
        if isinstance(part, Mapping) and part.get("type") == "image_url"
    ]
    if len(found) > MAX_IMAGES:
        raise invalid_value("messages", f"{len(found)} images", f"messages with at most {MAX_IMAGES} images")
    for image in found:
        if not is_data_uri(image.url) and not is_trusted_address(image.url):
            raise invalid_value(image.where, image.url.partition("?")[0][:80], _ALLOWED_URLS)
    return found


def _image(message: int, part: int, given: Mapping[str, Any]) -> Image:
    image = given.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else None
    if not isinstance(url, str):
        where = f"messages[{message}].content[{part}]"
        raise invalid_value(where, type(image).__name__, "an image_url with a url")
    return Image(message, part, url.strip(), image.get("detail") if isinstance(image, Mapping) else None)


def check_inline(images: Sequence[Image]) -> None:
    """Check every inline image. Raises `ValidationError`."""
    for image in images:
        if is_data_uri(image.url):
            decoded(image.where, image.url, "image", max_bytes=MAX_BYTES, longest_side=MAX_SIDE)


def fetch_call(image: Image) -> HttpCall:
    """Return the request for an image at a URL."""
    return HttpCall(
        method="GET",
        path=image.url,
        host="storage",
        repeatable=True,
        timeout=FETCH_SECONDS,
        redirects=False,
        max_bytes=MAX_BYTES,
    )


def fetched(image: Image, call: HttpCall, reply: HttpReply) -> str:
    """Return the data URI of a fetched image. Raises `ApiError` or `ValidationError`."""
    if 300 <= reply.status < 400:
        raise invalid_value(image.where, f"HTTP {reply.status}", "a URL that does not redirect")
    if not reply.ok:
        error = error_of(call, reply)
        error.add_note(f"while fetching {image.where}")
        raise error
    if announced_too_long(call, reply.headers.get("content-length")):
        raise invalid_value(image.where, "a larger image", f"an image of at most {MAX_BYTES} bytes")
    kind = type_of("image", reply.headers.get("content-type", ""), reply.body)
    if kind is None:
        raise invalid_value(image.where, reply.headers.get("content-type", ""), "a PNG or JPEG image")
    checked(image.where, kind, reply.body, "image", max_bytes=MAX_BYTES, longest_side=MAX_SIDE)
    return data_uri(kind, reply.body)


def with_images(messages: Sequence[Any], urls: Mapping[Image, str]) -> list[Any]:
    """Return the messages in wire form; image parts contain only what was checked."""
    wire = list(messages)
    for image, url in urls.items():
        message = wire[image.message]
        if message is messages[image.message]:
            message = wire[image.message] = {**message, "content": list(message["content"])}
        detail = {"detail": image.detail} if image.detail else {}
        message["content"][image.part] = {"type": "image_url", "image_url": {"url": url, **detail}}
    return wire


# Flows


def prepared(messages: Sequence[Any]) -> Flow[list[Any]]:
    """Return the messages in wire form, each image as a data URI."""
    plain = checked_messages(messages)
    images = images_of(plain)
    if not images:
        return plain
    yield from compute("the images of the messages", lambda: check_inline(images))
    remote = [image for image in images if not is_data_uri(image.url)]
    bodies = (yield from together([_fetch(image) for image in remote])) if remote else []
    return with_images(plain, {**{image: image.url for image in images}, **dict(zip(remote, bodies, strict=True))})


def _fetch(image: Image) -> Flow[str]:
    call = fetch_call(image)
    reply = yield from repeated(call, lambda: http(call))
    return (yield from compute(f"the image of {image.where}", lambda: fetched(image, call, reply)))
