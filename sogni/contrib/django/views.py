"""Views: the progress of a project as server-sent events."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404

from sogni.contrib.django.models import SogniProject
from sogni.errors import SogniError

logger: logging.Logger = logging.getLogger("sogni.contrib.django")

INTERVAL: float = 0.5
"""Seconds between two database queries: any worker can serve the stream of any project."""
KEEP_ALIVE: float = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the connection."""
LONGEST: float = 60.0
"""Seconds after which a stream ends. The browser reconnects, possibly to a worker that was started in the meantime."""


class _Stream:
    """The state of a stream: what to send, and when."""

    def __init__(self, pk: Any) -> None:
        self._pk = pk
        self._sent = ""
        self._sent_at = self._began_at = time.monotonic()
        self.over = False

    def next(self) -> str:
        """Read the project and return what to send now."""
        now = time.monotonic()
        row = SogniProject.objects.filter(pk=self._pk).first()
        if row is None:
            self.over = True
            return "event: deleted\ndata: {}\n\n"
        _resume(row)
        self.over = row.finished or now - self._began_at >= LONGEST
        data = json.dumps(row.to_dict())
        if data != self._sent:
            self._sent, self._sent_at = data, now
            return f"event: {'finished' if row.finished else 'progress'}\ndata: {data}\n\n"
        if now - self._sent_at >= KEEP_ALIVE:
            self._sent_at = now
            return ": waiting\n\n"
        return ""

    def __iter__(self) -> Iterator[str]:
        yield "retry: 1000\n\n"
        while True:
            if text := self.next():
                yield text
            if self.over:
                return
            time.sleep(INTERVAL)

    async def __aiter__(self) -> AsyncIterator[str]:
        look = sync_to_async(self.next)
        yield "retry: 1000\n\n"
        while True:
            if text := await look():
                yield text
            if self.over:
                return
            await asyncio.sleep(INTERVAL)


def progress_stream(request: HttpRequest, pk: Any) -> HttpResponse:
    """Send the state of a project as server-sent events until it is finished; works under WSGI and ASGI.

    Every event has the data of `SogniProject.to_dict()`. It is named `progress`, the last one `finished`, or `deleted`
    if the project no longer exists. If the process that started the project has ended, this one continues to follow the
    project. Under WSGI, each open stream occupies a thread.

    Args:
        request: The request.
        pk: Primary key of the project. The view does not check permissions: decorate or wrap it.

    Returns:
        A streaming response.

    Raises:
        Http404: The project does not exist.

    Example:
        >>> urlpatterns = [path("progress/<uuid:pk>/", login_required(progress_stream))]
    """
    get_object_or_404(SogniProject, pk=pk)
    stream = _Stream(pk)
    content = stream.__aiter__() if isinstance(request, ASGIRequest) else iter(stream)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(content, content_type="text/event-stream", headers=headers)


def _resume(row: SogniProject) -> None:
    try:
        row.resume_if_orphaned()
    except SogniError as error:
        # The stream shows what is stored; the next one tries again.
        logger.warning("a project could not be resumed pk=%s error=%s", row.pk, error)
