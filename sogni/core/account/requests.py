"""Requests and responses of the account endpoints."""

# account §6, §7, §12, §13

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_args

from attrs import evolve

from sogni.core.checks import extra_fields, integer, invalid_value, one_of, optional, reject_none_items
from sogni.core.http import HttpCall, HttpReply, data_of, get, json_of, post
from sogni.errors import ProtocolError
from sogni.models.account import (
    AccountInfo,
    RedirectType,
    Reward,
    Term,
    Tier,
    Transaction,
    TransactionHistory,
    TransactionQuery,
    UsernameValidation,
)
from sogni.models.converter import read

NAME_TAKEN = 108
_NEVER = 1e11
"""Lock durations of this many seconds or more mean "never": later dates cannot be represented."""
_DROPPED = ("_id", "SID", "clientSID", "addressSID", "sourceSID")


# Account


def read_account(call: HttpCall, reply: HttpReply) -> AccountInfo:
    """Return the account in a response; `email` and `wallet_address` are accepted spellings."""
    data = data_of(call, reply)
    if isinstance(data, Mapping):
        data = dict(data)
        for name, other in (("currentEmail", "email"), ("walletAddress", "wallet_address")):
            if data.get(name) is None and data.get(other) is not None:
                data[name] = data.pop(other)
    return read(AccountInfo, data, f"the response to {call.method} {call.path}")


# Transactions


def history_call(query: TransactionQuery) -> HttpCall:
    """Return the request for a page of transactions; offset 0 is omitted."""
    limit = integer("limit", query.limit)
    offset = optional(integer, "offset", query.offset)
    return get(
        "/v1/transactions/list",
        status=query.status,
        address=query.address,
        limit=limit,
        offset=offset or None,
        provider=query.provider or None,
    )


def read_history(query: TransactionQuery, call: HttpCall, reply: HttpReply) -> TransactionHistory:
    """Return the page in a response; amounts keep every digit."""
    json_of(call, reply)
    body = json.loads(reply.body or b"null", parse_float=Decimal)
    data: Any = body.get("data") if isinstance(body, dict) else None
    listed = data.get("transactions") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise ProtocolError(f"{call.method} {call.path}: the response contains no transactions")
    entries = [read(Transaction, _transaction(raw), f"the response to {call.method} {call.path}") for raw in listed]
    following = evolve(query, offset=_offset(data.get("next")))
    return TransactionHistory(entries=entries, next=following, extra=extra_fields(data, _OF_HISTORY))


_OF_HISTORY = frozenset({"transactions", "next"})


def _offset(following: Any) -> int | None:
    if isinstance(following, str) and re.fullmatch(r"\d{1,18}", following, re.ASCII):
        return int(following)
    return int(following) if isinstance(following, int | Decimal) and not isinstance(following, bool) else None


def _transaction(raw: Any) -> Any:
    if not isinstance(raw, Mapping):
        return raw
    return {name: value for name, value in raw.items() if name not in _DROPPED}


# Rewards


def read_rewards(call: HttpCall, reply: HttpReply, provider: str | None) -> list[Reward]:
    """Return the rewards in a response."""
    data = data_of(call, reply)
    listed = data.get("rewards") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise ProtocolError(f"{call.method} {call.path}: the response contains no rewards")
    return [read(Reward, _reward(raw, provider), f"the response to {call.method} {call.path}") for raw in listed]


def _reward(raw: Any, provider: str | None) -> Any:
    if not isinstance(raw, Mapping):
        return raw
    rest = {name: value for name, value in raw.items() if name not in ("lastClaimTimestamp", "claimResetFrequencySec")}
    last, frequency = _seconds(raw.get("lastClaimTimestamp")), _seconds(raw.get("claimResetFrequencySec"))
    last_claim = None if last is None else _moment(last)
    following = last + frequency if last and frequency is not None and -1 < frequency <= _NEVER else None
    return {
        **rest,
        "id": None if raw.get("id") is None else str(raw["id"]),
        "claimed": bool(raw.get("claimed")),
        "canClaim": bool(raw.get("canClaim")),
        "lastClaim": last_claim,
        "nextClaim": None if following is None else _moment(following),
        "provider": provider or "base",
    }


def _seconds(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _moment(seconds: float) -> Any:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise ProtocolError("a reward contains an invalid time") from None


def claim_call(ids: Any, turnstile_token: str | None, provider: str | None) -> HttpCall:
    """Return the request to claim rewards. Raises `ValidationError` unless `ids` is a list of strings."""
    listed = reject_none_items("ids", [ids] if isinstance(ids, str) else ids)
    if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
        raise invalid_value("ids", ids, "a list of reward ids")
    body: dict[str, Any] = {"claims": list(listed), "provider": provider or "base"}
    if turnstile_token:
        body["turnstileToken"] = turnstile_token
    return post("/v3/account/reward/claim", body)


# User names


def read_validation(call: HttpCall, reply: HttpReply) -> UsernameValidation:
    """Return the result for a user name; a rejection other than "taken" raises its `ApiError`."""
    if not reply.ok:
        body = _object(reply)
        # Only the number means this; the same code as a string is another error (account §19).
        if type(body.get("errorCode")) is int and body["errorCode"] == NAME_TAKEN:
            return read(UsernameValidation, body, "the response to a user name")
    body = json_of(call, reply)
    known = body if isinstance(body, dict) else {}
    return read(UsernameValidation, {"status": "success", **known}, "the response to a user name")


def _object(reply: HttpReply) -> dict[str, Any]:
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


# Subscriptions


def checkout_call(
    tier: Any,
    term: Any,
    *,
    redirect_type: str | None,
    app_source: str | None,
    start_trial: bool | None,
    device_id: str | None,
) -> HttpCall:
    """Return the checkout request. Raises `ValidationError` for an unknown plan."""
    given = {"appSource": app_source, "startTrial": start_trial, "deviceId": device_id}
    body = {
        "planId": one_of("tier", tier, get_args(Tier)),
        "term": one_of("term", term, get_args(Term)),
        "redirectType": one_of("redirect_type", redirect_type or "web", get_args(RedirectType)),
        **{name: value for name, value in given.items() if value is not None},
    }
    return post("/v1/iap/stripe/subscribe", body)
