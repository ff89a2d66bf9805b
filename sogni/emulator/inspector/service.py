"""The inspector's page, its live updates, its media and its buttons. All of it needs the token that is in the URL.

The page works without a script: forms are sent as usual, and reloading it shows what has changed. The script sends
forms in the background and replaces the items that `events` reports.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import hdrs, web
from attrs import define, field
from jinja2 import Environment

from sogni.emulator.control import CHAT, CLOCK, FAULT_OPERATIONS, Control, RefusedRequestError, same_token
from sogni.emulator.declarations import InvalidValueError
from sogni.emulator.inspector.items import Item, all_items, field_of, make_templates, read
from sogni.emulator.inspector.traffic import Traffic
from sogni.emulator.projects.storage import Key
from sogni.emulator.state import State

if TYPE_CHECKING:
    from sogni.emulator.workflows.engine import Workflows

PATH = "/inspector"
_HERE = Path(__file__).parent
_INTERVAL = 0.25
"""Seconds between two checks for changes."""
_KEEP_ALIVE = 15.0
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    hdrs.CACHE_CONTROL: "no-store",
}
_FILES = {"style.css": "text/css", "script.js": "text/javascript", "icon.svg": "image/svg+xml"}
_BUTTONS: Mapping[str, tuple[str, str]] = {
    "reset": ("Reset everything", "The emulator was reset."),
    "pause-workers": ("Pause workers", "The workers are paused."),
    "resume-workers": ("Resume workers", "The workers have resumed."),
    "drop-connections": ("Drop connections", "All connections were cut."),
    "expire-access-tokens": ("Expire access tokens", "All access tokens have expired."),
    "expire-urls": ("Expire signed URLs", "All signed URLs have expired."),
}
"""The labels of the buttons, and what is reported afterwards, by action."""


@define(eq=False)
class Inspector:
    """The inspector of one emulator. Belongs to the server's event loop."""

    control: Control
    state: State
    workflows: Workflows
    workers: int
    token: str = field(factory=lambda: secrets.token_urlsafe(24), repr=False)
    traffic: Traffic = field(init=False)
    _templates: Environment = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.traffic = Traffic(self.state.clock)
        self._templates = make_templates(self.state)
        self.state.recorder.observer = self.traffic.arrived
        self.state.connections.on_send = self.traffic.sent

    def url(self, address: str) -> str:
        return f"http://{address}{PATH}/{self.token}/"

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application, which has the middleware ``loopback_only``."""
        app.router.add_route("*", PATH + "{path:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        token, _, path = request.match_info["path"].lstrip("/").partition("/")
        if not same_token(token, self.token):
            return web.Response(status=401, text="The inspector requires the token in its URL.", headers=_HEADERS)
        method = "GET" if request.method == "HEAD" else request.method
        if method == "POST" and path.startswith("do/"):
            return await self._act(request, path.removeprefix("do/"))
        if method != "GET":
            return web.Response(status=405, text=f"{request.method} is not allowed here.", headers=_HEADERS)
        if not path:
            return self._page(request.query.get("fault", ""))
        if path == "events" and request.method == "GET":
            return await self._events(request)
        if path in _FILES:
            text = (_HERE / path).read_text(encoding="utf-8")
            return web.Response(text=text, content_type=_FILES[path], headers=_HEADERS)
        if path.startswith("media/"):
            return await self._media(path.removeprefix("media/"))
        return web.Response(status=404, text="There is no such page.", headers=_HEADERS)

    # Media

    async def _media(self, path: str) -> web.StreamResponse:
        key = Key(*path.split("/")) if path.count("/") == 2 else None
        stored = None if key is None else self.state.store.find(key)
        if stored is None:
            return web.Response(status=404, text="There is no such file.", headers=_HEADERS)
        # A client may have uploaded a page: nothing but media is shown, and no script runs in it.
        kind = stored.content_type or ""
        shown = kind.partition("/")[0] in ("image", "video", "audio") and "svg" not in kind
        headers = {**_HEADERS, "Content-Security-Policy": "default-src 'none'; media-src 'self'; sandbox"}
        headers[hdrs.CONTENT_TYPE] = kind if shown else "application/octet-stream"
        return web.FileResponse(await self.state.store.ready(stored), headers=headers)

    # Content

    def items(self) -> dict[str, list[Item]]:
        macros, runs = self._templates.get_template("items.html").module, list(self.workflows.runs.values())
        return all_items(macros, self.state, self.control, runs, self.traffic, self.workers)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send what has changed: for each section the IDs in order, and the items that are new."""
        response = web.StreamResponse(headers={**_HEADERS, hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        known: dict[str, dict[str, str]] = {}
        loop = asyncio.get_running_loop()
        written = loop.time()
        while request.transport is not None and not request.transport.is_closing():
            changes: dict[str, object] = {}
            for name, items in self.items().items():
                versions = {it.id: it.version for it in items}
                before = known.get(name)
                if before is None or list(before.items()) != list(versions.items()):
                    new = {it.id: it.html for it in items if (before or {}).get(it.id) != it.version}
                    changes[name] = {"order": list(versions), "items": new}
                    known[name] = versions
            if changes:
                await response.write(f"data: {json.dumps(changes)}\n\n".encode())
                written = loop.time()
            elif loop.time() - written > _KEEP_ALIVE:
                await response.write(b": keep-alive\n\n")
                written = loop.time()
            await asyncio.sleep(_INTERVAL)
        return response

    # Buttons

    async def _act(self, request: web.Request, action: str) -> web.StreamResponse:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return web.Response(status=403, text="Only the inspector itself may do this.", headers=_HEADERS)
        given = {name: str(value) for name, value in (await request.post()).items()}
        try:
            message, status = await self._done(action, given), 200
        except (InvalidValueError, RefusedRequestError, ValueError) as refused:
            message, status = str(refused), 400
        if "application/json" in request.headers.get(hdrs.ACCEPT, ""):
            return web.json_response({"message": message}, status=status, headers=_HEADERS)
        return self._page(given.get("name", ""), message, status)

    async def _done(self, action: str, given: dict[str, str]) -> str:
        control = self.control
        if action == "fault":
            name = given.pop("name", "")
            operation = FAULT_OPERATIONS.get(name)
            control.add_fault({**({} if operation is None else read(operation, given)), "name": name})
            return f"The fault {name} was added."
        if action == "chat":
            control.add_chat(read(CHAT["reply"], given))
            return "The answer was scripted."
        if action == "clear":
            control.clear_faults()
            control.clear_chat()
            return "All faults and scripted answers were removed."
        if action == "clock":
            change = read(CLOCK, given)
            CLOCK.check(change)
            await control.change_clock(change)
            now = datetime.fromtimestamp(self.state.clock(), UTC)
            return f"The clock shows {now:%Y-%m-%d %H:%M:%S} UTC ({control.clock()['mode']})."
        if action not in _BUTTONS:
            raise ValueError(f"there is no button {action!r}")
        control.act(action.replace("-", "_"), {})
        return _BUTTONS[action][1]

    # The page

    def _page(self, fault: str, message: str = "", status: int = 200) -> web.Response:
        chosen = FAULT_OPERATIONS[fault if fault in FAULT_OPERATIONS else "http"]
        page = self._templates.get_template("page.html").render(
            items=self.items(),
            endpoint=self.state.rest_endpoint,
            message=message,
            problem=status >= 400,
            buttons=_BUTTONS,
            faults=FAULT_OPERATIONS,
            chosen=chosen,
            fields=[field_of(it) for it in chosen.parameters.values()],
        )
        return web.Response(text=page, content_type="text/html", status=status, headers=_HEADERS)
