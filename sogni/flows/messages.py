"""Messages on their way: decides the order in which they are checked and their images fetched (chat §9).

Called by every chat flow that sends messages or prices them, before anything else is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..protocol.chat_request import checked_messages
from ..protocol.inline_media import is_data_uri
from ..protocol.vision import Image, check_inline, fetch_call, fetched, images_of, with_images
from .requests import repeated
from .steps import Flow, compute, http, together


def prepared(messages: Sequence[Any]) -> Flow[list[Any]]:
    """The messages as they travel, each image a data URI. ValidationError; ApiError and connection errors.

    Everything that can be looked at here is looked at before anything is fetched.
    """
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
