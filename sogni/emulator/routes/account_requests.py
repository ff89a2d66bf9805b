"""Helpers of the account routes: strict request bodies, errors, and access rules."""

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
from sogni.emulator.responses import RefusedError, detailed_error, error
from sogni.emulator.state import State

UNAUTHORIZED = 101
INVALID_LOGIN = 105
INVALID_REFRESH = 107
USERNAME_TAKEN = 108
USERNAME_INVALID = 109
INSUFFICIENT_BALANCE = 123
INSUFFICIENT_ALLOWANCE = 149
UNSET = ("", "undefined", "null")
"""Version 4.2 clients send an unset query value as one of these strings."""
# Protocol notes: transport §3.

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

BodyHandler = Callable[[web.Request, "Body"], Awaitable[web.StreamResponse]]
AccountBodyHandler = Callable[[web.Request, "Body", Account], Awaitable[web.StreamResponse]]
AccountHandler = Callable[[web.Request, Account], Awaitable[web.StreamResponse]]


@define(kw_only=True)
class Body(Fields):
    """Reads the JSON object of a request. ``route`` names the request in violations."""

    recorder: Recorder
    route: str

    def check(self) -> None:
        """Refuse a body with findings; unread keys are only reported."""
        self.leftover()
        for finding in self.findings:
            self.recorder.violation(f"{self.route} {finding.where}", finding.message)
        refused = [str(finding) for finding in self.findings if finding.refused]
        if refused:
            raise RefusedError(400, f"Invalid request: {'; '.join(refused[:3])}")

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


def answering(handler: Handler) -> Handler:
    """Convert a ``RefusedError`` to an error envelope."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except RefusedError as refused:
            return detailed_error(refused.status, refused.message, refused.code, refused.details, refused.retry_after)
        except WalletSupportMissingError as missing:
            return error(501, str(missing))

    return answered


def public_route(state: State, handler: BodyHandler) -> Handler:
    """Wrap a POST route that needs no credentials."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request, await _body(state, request))

    return answering(handle)


def for_account(state: State, handler: AccountHandler, *, session_only: bool = False) -> Handler:
    """Wrap a GET route that needs an account; ``session_only`` refuses API keys."""

    async def handle(request: web.Request) -> web.StreamResponse:
        account = _account(state, request)
        _check_session(request, session_only)
        return await handler(request, account)

    return answering(handle)


def for_account_body(state: State, handler: AccountBodyHandler, *, session_only: bool = False) -> Handler:
    """Wrap a POST route that needs an account; ``session_only`` refuses API keys."""
    # Protocol notes: transport §5.

    async def handle(request: web.Request) -> web.StreamResponse:
        account = _account(state, request)
        _check_session(request, session_only)
        return await handler(request, await _body(state, request), account)

    return answering(handle)


def _check_session(request: web.Request, session_only: bool) -> None:
    if session_only and "api-key" in request.headers:
        raise RefusedError(403, "This operation requires a signed-in session; an API key is not enough")


def _account(state: State, request: web.Request) -> Account:
    account = state.accounts.identify(request.headers)
    if account is None:
        raise RefusedError(401, "Unauthorized: the credentials are missing or invalid", UNAUTHORIZED)
    return account


async def _body(state: State, request: web.Request) -> Body:
    try:
        values = await request.json()
    except (ValueError, LookupError, RecursionError):
        raise RefusedError(400, "The body is not JSON") from None
    if not isinstance(values, dict):
        raise RefusedError(400, "The body must be an object")
    return Body(values, "$", [], recorder=state.recorder, route=f"{request.method} {request.path}")


def query(request: web.Request, name: str) -> str:
    """Return a query value, or an empty string."""
    value = request.query.get(name, "")
    return "" if value in UNSET else value


def provider_of_query(request: web.Request) -> Provider:
    given = query(request, "provider") or "base"
    found = next((name for name in PROVIDERS if name == given), None)
    if found is None:
        raise RefusedError(400, f"provider must be one of {', '.join(PROVIDERS)}")
    return found


def whole_query(request: web.Request, name: str, default: int, *, minimum: int = 0, maximum: int = 10**15) -> int:
    """Read an integer query value."""
    text = query(request, name)
    if not text:
        return default
    plain = text.isascii() and text.isdigit() and len(text) <= 16
    if not plain or not minimum <= int(text) <= maximum:
        raise RefusedError(400, f"{name} must be an integer from {minimum} to {maximum}")
    return int(text)
