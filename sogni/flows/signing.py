"""Signed addresses on request (projects-4.2 §10.1)."""

from __future__ import annotations

from typing import Any, Literal

from ..models.converter import camel
from ..protocol.upload_plan import read_signed_url, signed_url_call
from .requests import ask_data
from .steps import Flow


def signed_address(
    endpoint: Literal["image", "media"], direction: Literal["uploadUrl", "downloadUrl"], **fields: Any
) -> Flow[str]:
    """A signed address; fields that are None are left out. ProtocolError when the answer has none."""
    query = {camel(name): value for name, value in fields.items() if value is not None}
    data = yield from ask_data(signed_url_call(endpoint, direction, **query))
    return str(read_signed_url(data, direction))
