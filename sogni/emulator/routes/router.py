"""Route declarations: access, parsing of the request, and the response for what the function returns."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web
from attrs import define, field, frozen

from sogni.emulator.account.accounts import PROVIDERS, Account, Provider
from sogni.emulator.account.wallets import WalletSupportMissingError
from sogni.emulator.fields import Fields, present
from sogni.emulator.middleware import Handler, Host
from sogni.emulator.recorder import Recorder
from sogni.emulator.responses import RefusedError, error, success, text_error
from sogni.emulator.state import State

if TYPE_CHECKING:
    from sogni.emulator.server import Services

UNAUTHORIZED = 101
UNSET = ("", "undefined", "null")
"""Version 4.2 clients send an unset query value as one of these strings."""
# Protocol notes: transport §3.
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
Access = Literal["public", "account", "session"]
"""Access to a route: everybody, an account, or an account that has signed in (no API key)."""


@define
class Body(Fields):
    """Reads the JSON object of a request. ``route`` names the request in violations."""

    recorder: Recorder = field(kw_only=True)
    route: str = field(kw_only=True)

    def check(self, *, strict: bool = False) -> None:
        """Refuse a body with findings. Unread keys are only reported, unless ``strict``."""
        self.leftover()
        for finding in self.findings:
            self.recorder.violation(f"{self.route} {finding.where}", finding.message)
        refused = [str(finding) for finding in self.findings if finding.refused or strict]
        if refused:
            raise RefusedError(400, refused[0] if strict else f"Invalid request: {'; '.join(refused[:3])}")

    def address(self) -> str:
        """Read a wallet address; return an empty string if it is missing or invalid."""
        given = self.text("walletAddress", required=True)
        if given is not None and not ADDRESS.fullmatch(given):
            self.refuse("walletAddress", "must be an address of 40 hexadecimal digits after 0x")
        return given or ""

    def own_address(self, account: Account) -> None:
        """Read the address, which must be that of the account's own wallet."""
        given = self.address()
        if given and given.lower() != account.wallet_address.lower():
            self.refuse("walletAddress", "is not the wallet of this account")

    def provider(self) -> Provider:
        given = self.text("provider", allowed=PROVIDERS)
        return next((name for name in PROVIDERS if name == given), "base")


@define(eq=False)
class Call:
    """One request. Public routes have no account, and only routes for POST and PATCH have a body."""

    state: State
    request: web.Request
    services: Services
    _account: Account | None = None
    _body: Body | None = None

    @property
    def account(self) -> Account:
        assert self._account is not None
        return self._account

    @property
    def body(self) -> Body:
        assert self._body is not None
        return self._body

    def path(self, name: str) -> str:
        return self.request.match_info[name]

    def query(self, name: str) -> str:
        """Return a query value, or an empty string."""
        value = self.request.query.get(name, "")
        return "" if value in UNSET else value

    def provider(self) -> Provider:
        given = self.query("provider") or "base"
        found = next((name for name in PROVIDERS if name == given), None)
        if found is None:
            raise RefusedError(400, f"provider must be one of {', '.join(PROVIDERS)}")
        return found

    def word(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        given = self.query(name) or default
        if given not in allowed:
            raise RefusedError(400, f"{name} must be one of {', '.join(allowed)}")
        return given

    def whole(self, name: str, default: int, *, minimum: int = 0, maximum: int = 10**15) -> int:
        """Read an integer query value."""
        text = self.query(name)
        if not text:
            return default
        plain = text.isascii() and text.isdigit() and len(text) <= 16
        if not plain or not minimum <= int(text) <= maximum:
            raise RefusedError(400, f"{name} must be an integer from {minimum} to {maximum}")
        return int(text)

    def page(self) -> int:
        return self.whole("limit", 20, minimum=1, maximum=1000)

    def violation(self, about: str, message: str) -> None:
        where = f"{self.request.method} {self.request.path}"
        self.state.recorder.violation(f"{where} {about}".rstrip(), message)


Route = Callable[[Call], Any]
"""Returns the data of the response, or a whole response."""


@frozen
class _Row:
    method: str
    path: str
    route: Route
    access: Access
    query: tuple[str, ...] | None
    refuses: bool
    optional: bool


@define
class Routes:
    """The routes of a subject on one host. The REST host wraps results in an envelope."""

    host: Host = "rest"
    _rows: list[_Row] = field(factory=list)

    def __call__(
        self,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
        path: str,
        *,
        access: Access = "account",
        query: tuple[str, ...] | None = None,
        refuses: bool = False,
        optional: bool = False,
    ) -> Callable[[Route], Route]:
        """Add a route.

        Query values other than ``query`` are violations, and refused with ``refuses``. The body of a POST or PATCH is
        read; with ``optional``, an empty one is an empty object.
        """

        def add(route: Route) -> Route:
            self._rows.append(_Row(method, path, route, access, query, refuses, optional))
            return route

        return add

    def add_to(self, app: web.Application, state: State, services: Services) -> None:
        for row in self._rows:
            app.router.add_route(row.method, row.path, self._handler(row, state, services))

    def _handler(self, row: _Row, state: State, services: Services) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                call = Call(state, request, services)
                _check_query(row, call)
                if row.access != "public":
                    call._account = _identified(state, request, row.access)
                if row.method in ("POST", "PATCH"):
                    call._body = await _body(state, request, row.optional)
                result = row.route(call)
                if inspect.isawaitable(result):
                    result = await result
            except RefusedError as refused:
                return self._refusal(refused)
            except WalletSupportMissingError as missing:
                return error(501, str(missing))
            if isinstance(result, web.StreamResponse):
                return result
            return success(result) if self.host == "rest" else web.json_response(result)

        return handle

    def _refusal(self, refused: RefusedError) -> web.Response:
        # Protocol notes: chat §14.9.
        wait = {} if refused.retry_after is None else {"Retry-After": str(math.ceil(refused.retry_after))}
        if self.host == "socket":
            return text_error(refused.status, refused.message, headers=wait)
        more = present({"details": refused.details, "retryAfter": refused.retry_after})
        return error(refused.status, refused.message, refused.code, headers=wait, **more)


def _check_query(row: _Row, call: Call) -> None:
    for name in sorted({*call.request.query} - {*row.query}) if row.query is not None else ():
        if row.refuses:
            call.violation("", problem := f"{name} is not a query value of this route")
            raise RefusedError(400, problem)
        call.violation(name, "is not a known query key")


def _identified(state: State, request: web.Request, access: Access) -> Account:
    account = state.accounts.identify(request.headers)
    if account is None:
        raise RefusedError(401, "Unauthorized: the credentials are missing or invalid", UNAUTHORIZED)
    if access == "session" and "api-key" in request.headers:
        raise RefusedError(403, "This operation requires a signed-in session; an API key is not enough")
    return account


async def _body(state: State, request: web.Request, optional: bool) -> Body:
    content = await request.read()
    try:
        values = {} if optional and not content else json.loads(content.decode(request.charset or "utf-8"))
    except (ValueError, LookupError, RecursionError):
        raise RefusedError(400, "The body is not JSON") from None
    if not isinstance(values, dict):
        raise RefusedError(400, "The body must be an object")
    return Body(values, "$", [], recorder=state.recorder, route=f"{request.method} {request.path}")
