"""The inspector's page, its live updates, its media and its buttons. All of it needs the token that is in the URL.

The page works without a script: forms are sent as usual, and reloading it shows what has changed. The script sends
forms in the background and replaces the items that `events` reports.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web
from attrs import define, field

from sogni.emulator.clock import Pace
from sogni.emulator.control import CHAT, FAULT_OPERATIONS, Control, RefusedRequestError, same_token
from sogni.emulator.declarations import InvalidValueError
from sogni.emulator.inspector import sections
from sogni.emulator.inspector.forms import fields, read
from sogni.emulator.inspector.html import Child, Markup, element
from sogni.emulator.inspector.sections import Item
from sogni.emulator.inspector.traffic import Traffic
from sogni.emulator.projects.storage import Key
from sogni.emulator.state import State

if TYPE_CHECKING:
    from sogni.emulator.workflows.engine import Engine

PATH = "/inspector"
_HERE = Path(__file__).parent
_INTERVAL = 0.25
"""Seconds between two looks at what has changed."""
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
_ICON = element(
    "svg",
    element("circle", cx=8, cy=8, r=7, fill="#1f5fbf"),
    element("circle", cx=8, cy=8, r=3, fill="#fff"),
    xmlns="http://www.w3.org/2000/svg",
    viewBox="0 0 16 16",
)
_FILES = {"style.css": "text/css", "script.js": "text/javascript"}
_BUTTONS: Mapping[str, str] = {
    "reset": "Reset everything",
    "pause-workers": "Pause workers",
    "resume-workers": "Resume workers",
    "drop-connections": "Drop connections",
    "expire-access-tokens": "Expire access tokens",
    "expire-urls": "Expire signed URLs",
}
_DONE: Mapping[str, str] = {
    "reset": "The emulator was reset.",
    "pause-workers": "The workers are paused.",
    "resume-workers": "The workers have resumed.",
    "drop-connections": "All connections were cut.",
    "expire-access-tokens": "All access tokens have expired.",
    "expire-urls": "All signed URLs have expired.",
}
_SECTIONS: Mapping[str, str] = {
    "projects": "Projects",
    "runs": "Workflows",
    "chats": "Chats",
    "traffic": "Requests and frames",
}
_EMPTY: Mapping[str, str] = {
    "overview": "",
    "projects": "No projects yet.",
    "runs": "No workflows yet.",
    "chats": "No chats yet.",
    "traffic": "Nothing has arrived yet.",
    "faults": "No faults are planned.",
    "scripts": "No answers are scripted.",
}


@define(eq=False)
class Inspector:
    """The inspector of one emulator. Belongs to the server's event loop."""

    control: Control
    state: State
    pace: Pace
    engine: Engine
    workers: int
    token: str = field(factory=lambda: secrets.token_urlsafe(24), repr=False)
    traffic: Traffic = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.traffic = Traffic(self.pace)
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
        if path == "icon.svg":
            return web.Response(text=_ICON, content_type="image/svg+xml", headers=_HEADERS)
        if path in _FILES:
            return web.Response(text=_read(path), content_type=_FILES[path], headers=_HEADERS)
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

    @staticmethod
    def _media_url(key: Key) -> str:
        return f"media/{key.project_id}/{key.item_id}/{key.role}"

    # Content

    def items(self) -> dict[str, list[Item]]:
        """Return the items of all sections."""
        control, projects = self.control, list(self.state.projects)
        overview = sections.overview(
            self.state.accounts.all(),
            projects,
            workers=self.workers,
            paused=not self.pace.running.is_set(),
            connections=len(self.state.connections),
            clock=control.clock(),
        )
        return {
            "overview": overview,
            "projects": sections.project_items(projects, self.state.store, self._media_url),
            "runs": sections.run_items(list(self.engine.runs.values()), self._media_url),
            "chats": sections.chat_items(self.traffic),
            "faults": sections.rule_items(control.faults()["faults"], "fault"),
            "scripts": sections.rule_items(control.chat()["chat"], "script"),
            "traffic": sections.traffic_items(self.traffic),
        }

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
            await control.change_clock(_clock_change(given))
            return f"The clock shows {control.clock()['now']:.0f} ({control.clock()['mode']})."
        if action not in _BUTTONS:
            raise ValueError(f"there is no button {action!r}")
        control.act(action.replace("-", "_"), {})
        return _DONE[action]

    # The page

    def _page(self, fault: str, message: str = "", status: int = 200) -> web.Response:
        items = self.items()
        problem = status >= 400
        body = [
            element("a", "Skip to the projects", href="#projects-heading", class_="skip"),
            element(
                "header",
                element("h1", "Local Supernet"),
                element("p", element("span", "not live", id="live", class_="badge"), " ", self.state.rest_endpoint),
                element(
                    "nav",
                    element("ul", [_link(f"{name}-heading", title) for name, title in _NAVIGATION.items()]),
                    aria_label="Sections",
                ),
            ),
            element("output", message, id="message", role="status", class_="problem" if problem else None),
            element(
                "main",
                _section("overview", "Overview", _list("overview", items)),
                element(
                    "div",
                    element("div", [_section(it, title, _list(it, items)) for it, title in _SHOWN.items()]),
                    element("div", self._controls(fault, items), class_="aside"),
                    class_="columns",
                ),
                _section("traffic", _SECTIONS["traffic"], _filters(), _list("traffic", items)),
            ),
        ]
        head = [
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", "Local Supernet"),
            element("link", rel="stylesheet", href="style.css"),
            element("link", rel="icon", href="icon.svg", type="image/svg+xml"),
            element("script", "", src="script.js", defer=True),
        ]
        page = element("html", element("head", head), element("body", body), lang="en")
        return web.Response(text=f"<!doctype html>{page}", content_type="text/html", status=status, headers=_HEADERS)

    def _controls(self, fault: str, items: Mapping[str, list[Item]]) -> list[Markup]:
        chosen = fault if fault in FAULT_OPERATIONS else "http"
        operation = FAULT_OPERATIONS[chosen]
        options = [element("option", it, value=it, selected=it == chosen) for it in FAULT_OPERATIONS]
        choice = element(
            "form",
            element("label", "Fault", for_="fault-name"),
            element("select", options, id="fault-name", name="fault"),
            element("button", "Choose", class_="choose"),
            action="",
            method="get",
            id="fault-choice",
        )
        details = _form(
            "do/fault",
            element("p", operation.summary.replace("`", ""), class_="quiet"),
            element("input", type="hidden", name="name", value=chosen),
            fields(operation, "fault"),
            element("button", f"Add {chosen}", class_="primary"),
            id="fault-form",
        )
        script = _form(
            "do/chat",
            _field("answer", "Answer", required=True),
            _field("when", "When the question contains"),
            element("button", "Script the answer", class_="primary"),
        )
        buttons = [_form(f"do/{name}", element("button", text)) for name, text in _BUTTONS.items()]
        return [
            _section("actions", "Actions", element("div", buttons, class_="buttons")),
            _section("clock", "Clock", *_clock_forms()),
            _section("faults", "Faults", choice, details, element("h3", "Planned"), _list("faults", items)),
            _section("scripts", "Scripted answers", script, element("h3", "Planned"), _list("scripts", items)),
            _form("do/clear", element("button", "Remove all faults and answers")),
        ]


_SHOWN = {name: title for name, title in _SECTIONS.items() if name != "traffic"}
_NAVIGATION = {"overview": "Overview", **_SHOWN, "actions": "Actions", "faults": "Faults", "traffic": "Traffic"}


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _clock_change(given: Mapping[str, str]) -> dict[str, Any]:
    changes: dict[str, Callable[[str], Any]] = {
        "advance": float,
        "factor": float,
        "freeze": lambda text: text == "true",
    }
    try:
        found = {name: changes[name](text) for name, text in given.items() if name in changes and text}
    except ValueError:
        raise ValueError(f"a clock takes numbers, got {', '.join(given.values())}") from None
    if found.get("advance", 0) < 0 or found.get("factor", 1) <= 0:
        raise ValueError("advance must be at least 0, and factor positive")
    return found


def _link(target: str, text: str) -> Markup:
    return element("li", element("a", text, href=f"#{target}"))


def _section(name: str, title: str, *children: Child) -> Markup:
    heading = element("h2", title, id=f"{name}-heading", tabindex=-1)
    return element("section", heading, children, aria_labelledby=f"{name}-heading", class_=name)


def _list(name: str, items: Mapping[str, list[Item]]) -> Markup:
    tag = "ol" if name == "traffic" else "ul"
    empty = element("p", _EMPTY[name], class_="quiet empty") if _EMPTY[name] else None
    return element("div", element(tag, [it.html for it in items[name]], id=name), empty, class_="list")


def _form(action: str, *children: Child, id: str | None = None) -> Markup:
    return element("form", children, action=action, method="post", id=id)


def _field(name: str, text: str, *, required: bool = False, **more: str | int | float) -> Markup:
    control = element("input", name=name, id=f"script-{name}", required=required, autocomplete="off", **more)
    return element("div", element("label", text, for_=f"script-{name}"), control, class_="field")


def _clock_forms() -> list[Markup]:
    advance = element("input", type="number", id="clock-advance", name="advance", min=0, step="any", value=60)
    factor = element("input", type="number", id="clock-factor", name="factor", min=0, step="any", value=1)
    freeze = element("input", type="hidden", name="freeze", value="true")
    resume = element("input", type="hidden", name="freeze", value="false")
    return [
        _form(
            "do/clock",
            element("label", "Seconds to let pass", for_="clock-advance"),
            element("div", advance, element("button", "Advance"), class_="inline"),
        ),
        _form(
            "do/clock",
            element("label", "Seconds per real second", for_="clock-factor"),
            element("div", factor, element("button", "Set the rate"), class_="inline"),
        ),
        element(
            "div",
            _form("do/clock", freeze, element("button", "Stop time")),
            _form("do/clock", resume, element("button", "Resume time")),
            class_="buttons",
        ),
    ]


def _filters() -> Markup:
    choices = {"all": "All", "http": "Requests", "frames": "Frames"}
    radios = [
        element("label", element("input", type="radio", name="show", value=value, checked=value == "all"), f" {text}")
        for value, text in choices.items()
    ]
    find = element("input", type="search", id="find", placeholder="Filter by name", autocomplete="off")
    return element(
        "div",
        element("fieldset", element("legend", "Show"), radios),
        element("div", element("label", "Filter by name", for_="find"), find),
        element("button", "Pause", type="button", id="pause", aria_pressed="false"),
        class_="filters",
        id="filters",
        hidden=True,
    )
