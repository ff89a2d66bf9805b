"""The control API: faults, scripted answers and the state of an emulator over HTTP, for test suites in any language.

Its operations are the methods of ``LocalSupernet``, ``Faults`` and ``ChatScript``; their signatures and docstrings
declare the fields of requests, from which the OpenAPI description is made. Served by a listener of its own,
on the loopback interface only, so that no fault applies to it and none of its requests is recorded.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import inspect
import json
import secrets
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import attrs
from aiohttp import hdrs, web
from attrs import frozen

from sogni.emulator.account.accounts import Account
from sogni.emulator.chat.script import ChatFailure, ChatRate, ChatReply, ChatRule, ChatScript
from sogni.emulator.declarations import AMOUNT, FACTOR, POSITION, SECONDS, InvalidValueError, Operation, nearest
from sogni.emulator.faults import FAULTS, Rule
from sogni.emulator.fields import Json
from sogni.emulator.recorder import Arrival, RecordedFrame, RecordedRequest

if TYPE_CHECKING:
    from sogni.emulator.supernet import LocalSupernet

PATH = "/control"
LOOPBACK = "127.0.0.1"
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_MOST_REQUESTS = 1000

ACTIONS: Mapping[str, str] = {
    "/reset": "reset",
    "/drop-connections": "drop_connections",
    "/freeze-connections": "freeze_connections",
    "/pause-workers": "pause_workers",
    "/resume-workers": "resume_workers",
    "/withdraw-model": "withdraw_model",
    "/announce": "announce",
    "/limit-notice": "send_limit_notice",
    "/personal-lora": "set_personal_lora",
    "/token-lifetimes": "set_token_lifetimes",
    "/expire-access-tokens": "expire_access_tokens",
    "/revoke-refresh-tokens": "revoke_refresh_tokens",
    "/end-sessions": "end_sessions",
    "/expire-urls": "expire_urls",
    "/forget-requests": "forget_requests",
}
"""The methods of ``LocalSupernet`` that can be called, by path."""


class ToolCall(TypedDict):
    """A tool call of a scripted answer."""

    name: str
    arguments: Json


def keep(*, seconds: Annotated[float, SECONDS]) -> None:
    """Set how long a completion outlives the connection of its client.

    Args:
        seconds: Seconds; 30 at first.
    """


def read_requests(*, after: Annotated[int, POSITION] = 0) -> None:
    """Return what clients have sent, oldest first: requests, upgrades and frames.

    Args:
        after: Number of those to leave out at the beginning, such as ``next`` of the last response. Default 0.
    """


def change_clock(
    *,
    freeze: bool | None = None,
    factor: Annotated[float, FACTOR] | None = None,
    advance: Annotated[float, SECONDS] | None = None,
    set: Annotated[float, SECONDS] | None = None,
) -> None:
    """Stop or resume time, change its rate, or let time pass at once.

    Args:
        freeze: True stops time, False lets it pass again. Unchanged by default.
        factor: Seconds that pass per real second. Unchanged by default.
        advance: Seconds to let pass at once. Default: none.
        set: Let time pass at once until this moment, in epoch seconds. Default: none.
    """


CHAT: Mapping[str, Operation] = {
    "reply": Operation.of(
        ChatScript.reply, "reply", hints={"answer": str | Mapping[str, Json] | None, "tool_calls": list[ToolCall]}
    ),
    "fail": Operation.of(ChatScript.fail, "fail"),
    "rate": Operation.of(ChatScript.rate, "rate"),
    "keep": Operation.of(keep, "keep"),
}
FAULT_OPERATIONS: Mapping[str, Operation] = {name: Operation.of(kind, name) for name, kind in FAULTS.items()}
_FAULT_NAMES = {kind: name for name, kind in FAULTS.items()}
_CHAT_NAMES: Mapping[type[ChatRule], str] = {ChatReply: "reply", ChatFailure: "fail", ChatRate: "rate"}
_TOKENS = ("spark", "sogni", "free_spark")
_BALANCE = Operation.of(Account.set_balance, "balance", hints=dict.fromkeys(_TOKENS, Annotated[Decimal, AMOUNT] | None))
_REQUESTS = Operation.of(read_requests, "requests")
CLOCK = Operation.of(change_clock, "clock")


class RefusedRequestError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, **details: Json) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Json] = {"message": message, **details}


def describe_rules(rules: Sequence[Rule | ChatRule]) -> list[dict[str, object]]:
    """Describe rules; the ID of each is its position, from 1."""
    return [_describe_rule(number, rule) for number, rule in enumerate(rules, 1)]


def _describe_rule(number: int, rule: Rule | ChatRule) -> dict[str, object]:
    fields = {it.name: getattr(rule, it.name) for it in attrs.fields(type(rule)) if it.name != "fired"}
    name = _FAULT_NAMES[type(rule)] if isinstance(rule, Rule) else _CHAT_NAMES[type(rule)]
    state = {"id": number, "name": name, "fired": rule.fired, "spent": rule.spent}
    return {**state, "fields": {key: it for key, it in fields.items() if it is not None}}


class Control:
    """The control API of one emulator. Its handlers run in the server's thread."""

    def __init__(self, supernet: LocalSupernet) -> None:
        # Weak: an emulator that nobody refers to is closed.
        self._supernet = weakref.ref(supernet)
        self.token: str = secrets.token_urlsafe(24)
        self.routes: Mapping[tuple[str, str], Route] = routes_of(type(supernet))

    def endpoint(self, address: str) -> str:
        """Return the base URL, given the address of the listener."""
        return f"http://{address}{PATH}"

    @property
    def supernet(self) -> LocalSupernet:
        found = self._supernet()
        if found is None:
            raise RefusedRequestError(503, "The emulator is closing")
        return found

    def act(self, name: str, given: Mapping[str, Any]) -> object:
        """Call a method of the emulator."""
        return {"result": getattr(self.supernet, name)(**given)}

    def add_fault(self, given: Mapping[str, Any]) -> object:
        operation, fields = _named(given, FAULT_OPERATIONS, "fault")
        rule: Rule = getattr(self.supernet.faults, operation.name)(**fields)
        return _describe_rule(self.supernet.faults.added.index(rule) + 1, rule)

    def add_chat(self, given: Mapping[str, Any]) -> object:
        operation, fields = _named({"name": "reply", **given}, CHAT, "operation")
        script = self.supernet.chat
        if operation.name == "keep":
            script.kept_seconds = fields["seconds"]
            return {"name": "keep", "fields": fields}
        if "tool_calls" in fields:
            fields["tool_calls"] = [(it["name"], it["arguments"]) for it in fields["tool_calls"]]
        rule: ChatRule = getattr(script, operation.name)(**fields)
        return _describe_rule(script.added.index(rule) + 1, rule)

    def faults(self) -> dict[str, list[dict[str, object]]]:
        return {"faults": describe_rules(self.supernet.faults.added)}

    def chat(self) -> dict[str, list[dict[str, object]]]:
        return {"chat": describe_rules(self.supernet.chat.added)}

    def clear_faults(self) -> object:
        self.supernet.faults.clear()
        return {}

    def clear_chat(self) -> object:
        self.supernet.chat.clear()
        return {}

    def set_balance(self, given: Mapping[str, Any]) -> object:
        self.supernet.account.set_balance(**{key: Decimal(str(it)) for key, it in given.items() if it is not None})
        return self.accounts()[0]

    def clock(self) -> dict[str, object]:
        clock = self.supernet.clock
        return {"now": clock.now(), "mode": clock.mode, "factor": clock.factor}

    async def change_clock(self, given: Mapping[str, Any]) -> object:
        clock = self.supernet.clock
        calls: list[Callable[[], None]] = []
        if given.get("freeze"):
            calls.append(clock.freeze)
        elif given.get("freeze") is False or given.get("factor") is not None:
            calls.append(functools.partial(clock.resume, given.get("factor")))
        calls += [
            functools.partial(method, given[key])
            for key, method in (("advance", clock.advance), ("set", clock.set))
            if given.get(key) is not None
        ]
        # The methods wait for the event loop, in which this runs.
        executor = ThreadPoolExecutor(1, "sogni-emulator-clock")
        try:
            for call in calls:
                await asyncio.get_running_loop().run_in_executor(executor, call)
        finally:
            executor.shutdown(wait=False)
        return self.clock()

    def requests(self, given: Mapping[str, Any]) -> object:
        after: int = given.get("after", 0)
        found = self.supernet.requests[after : after + _MOST_REQUESTS]
        return {"requests": [describe_arrival(it) for it in found], "next": after + len(found)}

    def accounts(self) -> list[dict[str, object]]:
        return [
            {
                "username": it.username,
                "spark": it.balance.spark,
                "sogni": it.balance.sogni,
                "free_spark": it.balance.free_spark,
            }
            for it in self.supernet.accounts
        ]

    def state(self) -> object:
        supernet = self.supernet
        runs = [{key: it.get(key) for key in ("workflowId", "title", "status")} for it in supernet.workflows]
        return {
            "rest_endpoint": supernet.rest_endpoint,
            "socket_endpoint": supernet.socket_endpoint,
            "clock": self.clock(),
            "connections": supernet.connection_count,
            "accounts": self.accounts(),
            "projects": supernet.projects,
            "workflows": runs,
            "faults": describe_rules(supernet.faults.added),
            "chat": describe_rules(supernet.chat.added),
            "requests": len(supernet.requests),
            "violations": [attrs.asdict(it) for it in supernet.violations],
        }

    def openapi(self) -> object:
        return json.loads((files(__package__) / "control-api.json").read_text("utf-8"))

    # HTTP

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application, which has the middleware ``loopback_only``."""
        app.router.add_route("*", PATH + "{path:.*}", self._answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if not has_bearer(request, self.token):
            message = "The control API requires its token: Authorization: Bearer TOKEN"
            return _error(401, {"message": message}, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        try:
            route = self._route(request.method, request.match_info["path"])
            given = _query(request) if request.method == "GET" else await _body(request)
            if route.operation is not None or request.method != "POST":
                (route.operation or NOTHING).check(given)
            answer = route.handle(self, given)
            if inspect.isawaitable(answer):
                answer = await answer
        except RefusedRequestError as refused:
            return _error(refused.status, refused.body, headers=None)
        except InvalidValueError as refused:
            return _error(400, {"message": str(refused), "field": refused.name, "allowed": refused.allowed})
        except ValueError as refused:
            return _error(400, {"message": str(refused)})
        except KeyError as unknown:
            return _error(404, {"message": str(unknown.args[0])})
        return web.json_response(answer, status=route.status, dumps=to_json)

    def _route(self, method: str, path: str) -> Route:
        route = self.routes.get((method, path))
        if route is not None:
            return route
        methods = [known for known, it in self.routes if it == path]
        if methods:
            message = f"{PATH}{path} takes {' or '.join(methods)}, got {method}"
            raise RefusedRequestError(405, message, allowed=methods)
        known = [f"{method} {PATH}{it}" for method, it in self.routes]
        raise RefusedRequestError(404, f"There is no route {PATH}{path}; there are {', '.join(known)}", routes=known)


@frozen
class Route:
    """One route: what it does, and the operation that declares the fields of its request."""

    summary: str
    handle: Callable[[Control, Mapping[str, Any]], object]
    operation: Operation | None = None
    status: int = 200


def routes_of(kind: type[LocalSupernet]) -> dict[tuple[str, str], Route]:
    """Return every route by method and path."""
    routes = {
        ("GET", "/state"): Route("Return the state of the emulator.", lambda control, _: control.state()),
        ("GET", "/requests"): Route(_REQUESTS.summary, Control.requests, _REQUESTS),
        ("GET", "/faults"): Route("Return the faults, with their uses.", lambda control, _: control.faults()),
        ("POST", "/faults"): Route("Add a fault.", Control.add_fault, status=201),
        ("DELETE", "/faults"): Route("Remove all faults.", lambda control, _: control.clear_faults()),
        ("GET", "/chat"): Route("Return the scripted answers, with their uses.", lambda control, _: control.chat()),
        ("POST", "/chat"): Route("Script the language models.", Control.add_chat, status=201),
        ("DELETE", "/chat"): Route("Remove all scripted answers.", lambda control, _: control.clear_chat()),
        ("POST", "/balance"): Route("Replace the balance of the account.", Control.set_balance, _BALANCE),
        ("POST", "/clock"): Route(CLOCK.summary, Control.change_clock, CLOCK),
        ("GET", "/openapi.json"): Route("Return this description.", lambda control, _: control.openapi()),
    }
    for path, name in ACTIONS.items():
        operation = Operation.of(getattr(kind, name), path[1:], without=("account",))
        routes["POST", path] = Route(operation.summary, _action(name), operation)
    return routes


def _action(name: str) -> Callable[[Control, Mapping[str, Any]], object]:
    return lambda control, given: control.act(name, given)


NOTHING = Operation(name="the request", summary="", parameters={})


def _named(
    given: Mapping[str, Any], operations: Mapping[str, Operation], kind: str
) -> tuple[Operation, dict[str, Any]]:
    """Return the operation that a body names, and its checked fields."""
    fields = dict(given)
    name = fields.pop("name", None)
    allowed = f"one of {', '.join(operations)}"
    if name is None:
        raise InvalidValueError(f"name is missing; it must be {allowed}", "name", allowed)
    if not isinstance(name, str) or name not in operations:
        raise InvalidValueError(f"there is no {kind} {name!r}; {nearest(str(name), operations)}", "name", allowed)
    operations[name].check(fields)
    return operations[name], fields


def _query(request: web.Request) -> dict[str, Any]:
    return {key: int(it) if it.isdecimal() and it.isascii() else it for key, it in request.query.items()}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        given = json.loads(await request.read() or b"{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedRequestError(400, f"The body must be JSON: {error}") from None
    if not isinstance(given, dict):
        raise RefusedRequestError(400, "The body must be a JSON object")
    return given


def _error(status: int, body: Mapping[str, Json], headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": body}, status=status, headers=headers)


def to_json(value: object) -> str:
    """Encode a value; amounts become strings, and functions and other objects their names."""

    def other(it: object) -> object:
        if isinstance(it, Decimal):
            return f"{it:f}"
        if attrs.has(type(it)):
            return attrs.asdict(it)  # type: ignore[arg-type]
        return list(it) if isinstance(it, tuple | set | frozenset) else dict(it) if isinstance(it, Mapping) else str(it)

    return json.dumps(value, default=other)


def describe_arrival(arrival: Arrival) -> dict[str, object]:
    """Return what arrived as JSON, with its kind."""
    kind = {RecordedRequest: "request", RecordedFrame: "frame"}.get(type(arrival), "upgrade")
    return {"kind": kind, **{it.name: getattr(arrival, it.name) for it in attrs.fields(type(arrival))}}


def has_bearer(request: web.Request, token: str) -> bool:
    """Return whether a request has the token; takes the same time for any wrong one."""
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return scheme.lower() == "bearer" and same_token(given.strip(), token)


def same_token(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


@web.middleware
async def loopback_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse requests for another host name: a web page whose name was pointed at this host has sent them."""
    port = request.transport.get_extra_info("sockname")[1] if request.transport is not None else 0
    if request.headers.get(hdrs.HOST, "").lower() not in {f"{name}:{port}" for name in _NAMES}:
        return _error(403, {"message": f"The Host header must be {LOOPBACK}:{port}"})
    response = await handler(request)
    if not response.prepared:
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
