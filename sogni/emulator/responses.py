"""HTTP responses: envelopes of the REST host, bare JSON and plain text of the socket host, storage XML."""
# Protocol notes: transport §2, §4.1.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

NOT_FOUND = 102
"""The service's error code for an unknown resource."""


def success(data: object, *, status: int = 200) -> web.Response:
    return web.json_response({"status": "success", "data": data}, status=status)


def error(
    status: int, message: str, code: int = 0, *, headers: Mapping[str, str] | None = None, **more: Any
) -> web.Response:
    """Return an error envelope of the REST host; ``more`` are further keys."""
    body = {"status": "error", "message": message, "errorCode": code, **more}
    return web.json_response(body, status=status, headers=headers)


def text_error(status: int, message: str, *, headers: dict[str, str] | None = None) -> web.Response:
    """Return a plain text error of the socket host."""
    # Protocol notes: transport §4.3.
    return web.Response(status=status, text=message, headers=headers)


def storage_error(status: int, code: str, message: str) -> web.Response:
    code_and_message = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{code_and_message}</Error>'
    return web.Response(status=status, text=body, content_type="application/xml")


class RefusedError(Exception):
    """A refused request, raised by the services and converted to a response by the routes."""

    # Protocol notes: workflows §8; chat §14.9.

    def __init__(
        self,
        status: int,
        message: str,
        code: int = 0,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.details = details
        self.retry_after = retry_after
