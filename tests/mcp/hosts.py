"""A host for tests: the official client, connected to a server in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

from mcp import Client
from mcp_types import CallToolResult, ElicitResult, ListRootsResult, Root
from PIL import Image

from sogni.emulator import LocalSupernet
from sogni.local.spending import DaySpending
from sogni.mcp.server import ServerOptions, create_server
from sogni_async import RetryPolicy

MODES = ["legacy", "auto"]
"""The handshake of protocols up to 2025-11-25, and the protocol without one."""
SMALL = {"prompt": "a lighthouse", "width": 256, "height": 256}


class Host:
    """A host: what it was asked, and how it answers."""

    def __init__(self, client: Client, supernet: LocalSupernet) -> None:
        self.client = client
        self.supernet = supernet
        self.progress: list[tuple[float, float | None, str | None]] = []

    async def call(self, name: str, **arguments: Any) -> CallToolResult:
        """Call a tool."""

        async def note(progress: float, total: float | None, message: str | None) -> None:
            self.progress.append((progress, total, message))

        return await self.client.call_tool(name, arguments, progress_callback=note)

    async def made(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that succeeds, and return its structured result."""
        answer = await self.call(name, **arguments)
        assert not answer.is_error, text_of(answer)
        found: dict[str, Any] = answer.structured_content
        return found

    async def refused(self, name: str, **arguments: Any) -> str:
        """Call a tool that fails, and return the message."""
        answer = await self.call(name, **arguments)
        assert answer.is_error, answer.structured_content
        return text_of(answer)


def picture_file(size: tuple[int, int] = (256, 256), kind: str = "PNG") -> bytes:
    """An image file."""
    buffer = BytesIO()
    Image.new("RGB", size).save(buffer, kind)
    return buffer.getvalue()


def text_of(answer: CallToolResult) -> str:
    """The text of a result."""
    return "".join(block.text for block in answer.content if block.type == "text")


def spending(limit: Decimal | None) -> DaySpending:
    """What has been spent on a day that does not end during a test."""
    return DaySpending(limit, today=lambda: date(2026, 1, 2))


@asynccontextmanager
async def open_host(
    supernet: LocalSupernet,
    mode: str = "auto",
    *,
    declared: Sequence[Path] | None = None,
    answer: ElicitResult | None = None,
    asked: list[str] | None = None,
    silent: bool = False,
    max_cost_per_day: int | str | None = 1000,
    **options: Any,
) -> AsyncIterator[Host]:
    """Open a host that is connected to a server.

    Args:
        supernet: What the server's client is connected to.
        mode: One of `MODES`.
        declared: Folders that the host declares; it cannot declare any if None.
        answer: How it answers for its user; it cannot ask if None.
        asked: Receives what it was asked.
        silent: Whether it never answers.
        max_cost_per_day: Limit of the server.
        options: Further options of the server.
    """

    async def note(question: str) -> None:
        if asked is not None:
            asked.append(question)
        if silent:
            await asyncio.Event().wait()

    async def list_roots(context: Any) -> ListRootsResult:
        await note("roots")
        return ListRootsResult(roots=[Root(uri=folder.as_uri()) for folder in declared or ()])

    async def elicit(context: Any, params: Any) -> ElicitResult:
        await note(params.message)
        assert answer is not None
        return answer

    limit = None if max_cost_per_day is None else Decimal(max_cost_per_day)
    given = {"spending": spending(limit), **options}
    async with supernet.async_client(retry=RetryPolicy(base=0.01, cap=0.05)) as client:
        connected = Client(
            create_server(client, ServerOptions(**given)),
            mode=mode,
            list_roots_callback=None if declared is None else list_roots,
            elicitation_callback=None if answer is None else elicit,
        )
        async with connected as opened:
            yield Host(opened, supernet)
