"""What the routes about accounts have in common: a body read strictly, refusals, and who may call.

Called by those routes only. A refusal is raised where it is found and becomes an answer here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from aiohttp import web
from attrs import define

from sogni.emulator.account.accounts import PROVIDERS, Account, Provider
from sogni.emulator.account.wallets import WalletSupportMissingError
from sogni.emulator.fields import Fields
from sogni.emulator.middleware import Handler
from sogni.emulator.recorder import Recorder
from sogni.emulator.responses import error
from sogni.emulator.state import State

UNAUTHORISED = 101
INVALID_LOGIN = 105
INVALID_REFRESH = 107
USERNAME_TAKEN = 108
USERNAME_INVALID = 109
INSUFFICIENT_BALANCE = 123
INSUFFICIENT_ALLOWANCE = 149
UNSET = ("", "undefined", "null")
"""4.2 clients write an unset query value as one of these words (transport §3)."""

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

BodyHandler = Callable[[web.Request, "Body"], Awaitable[web.StreamResponse]]
AccountBodyHandler = Callable[[web.Request, "Body", Account], Awaitable[web.StreamResponse]]
AccountHandler = Callable[[web.Request, Account], Awaitable[web.StreamResponse]]


class RefusedError(Exception):
    """A request that is turned down: the HTTP status, the text, the service's error code."""

    def __init__(self, status: int, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@define(kw_only=True)
class Body(Fields):
    """The JSON object of a request being read. ``route`` says which, for the journal."""

    journal: Recorder
    route: str

    def check(self) -> None:
        """Refuse a body with findings; keys that nobody read are only noted."""
        self.leftover()
        for finding in self.findings:
            self.journal.violation(f"{self.route} {finding.where}", finding.message)
        refused = [str(finding) for finding in self.findings if finding.refused]
        if refused:
            raise RefusedError(400, f"Invalid request: {'; '.join(refused[:3])}")

    def address(self) -> str:
        """Read an address; the empty text stands for one that is not there."""
        given = self.text("walletAddress", required=True)
        if given is not None and not ADDRESS.fullmatch(given):
            self.refuse("walletAddress", "must be an address of 40 hexadecimal digits after 0x")
        return given or ""

    def own_address(self, account: Account) -> None:
        """Read the address of the caller's own wallet."""
        given = self.address()
        if given and given.lower() != account.wallet_address.lower():
            self.refuse("walletAddress", "is not the wallet of this account")

    def provider(self) -> Provider:
        given = self.text("provider", allowed=PROVIDERS)
        return next((name for name in PROVIDERS if name == given), "base")


def answering(handler: Handler) -> Handler:
    """Turn what a route refuses into the error envelope."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except RefusedError as refused:
            return error(refused.status, str(refused), refused.code)
        except WalletSupportMissingError as missing:
            return error(501, str(missing))

    return answered


def open_to_all(state: State, handler: BodyHandler) -> Handler:
    """Wrap a POST route that needs no credentials."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request, await _body(state, request))

    return answering(handle)


def for_account(state: State, handler: AccountHandler) -> Handler:
    """Wrap a GET route that needs an account, however it signed in."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request, _account(state, request))

    return answering(handle)


def for_account_body(state: State, handler: AccountBodyHandler, *, session_only: bool = False) -> Handler:
    """Wrap a POST route that needs an account; ``session_only`` refuses API keys (transport §5)."""

    async def handle(request: web.Request) -> web.StreamResponse:
        account = _account(state, request)
        if session_only and "api-key" in request.headers:
            raise RefusedError(403, "This operation needs a signed-in session; an API key is not enough")
        return await handler(request, await _body(state, request), account)

    return answering(handle)


def _account(state: State, request: web.Request) -> Account:
    account = state.accounts.identify(request.headers)
    if account is None:
        raise RefusedError(401, "Unauthorized: the credentials are missing or not valid", UNAUTHORISED)
    return account


async def _body(state: State, request: web.Request) -> Body:
    try:
        values = await request.json()
    except (ValueError, LookupError, RecursionError):
        raise RefusedError(400, "The body is not JSON") from None
    if not isinstance(values, dict):
        raise RefusedError(400, "The body must be an object")
    return Body(values, "$", [], journal=state.journal, route=f"{request.method} {request.path}")


def query(request: web.Request, name: str) -> str:
    """Return a query value, or the empty text."""
    value = request.query.get(name, "")
    return "" if value in UNSET else value


def provider_of_query(request: web.Request) -> Provider:
    given = query(request, "provider") or "base"
    found = next((name for name in PROVIDERS if name == given), None)
    if found is None:
        raise RefusedError(400, f"provider must be one of {', '.join(PROVIDERS)}")
    return found


def whole_query(request: web.Request, name: str, default: int, *, minimum: int = 0, maximum: int = 10**15) -> int:
    """Read a whole number of the query."""
    text = query(request, name)
    if not text:
        return default
    plain = text.isascii() and text.isdigit() and len(text) <= 16
    if not plain or not minimum <= int(text) <= maximum:
        raise RefusedError(400, f"{name} must be a whole number from {minimum} to {maximum}")
    return int(text)
