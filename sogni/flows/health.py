"""Proving that a client can work: key, REST host, socket, balance (api: `client.check`). Spends nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..errors import SogniError
from ..models.health import HealthCheck, HealthReport
from .account import fetch_account, refresh_balance
from .sending import open_connection
from .steps import Flow, change, clock
from .time_limit import limited

T = TypeVar("T")


def check_health(timeout: float | None) -> Flow[HealthReport]:
    """Try everything a project needs; what fails is reported, not raised."""
    checks: list[HealthCheck] = []
    end = None if timeout is None else (yield from clock()) + timeout

    def proved(name: str, flow: Flow[T], said: Callable[[T], str]) -> Flow[T | None]:
        left = None if end is None else max(0.0, end - (yield from clock()))
        return (yield from _proved(checks, name, limited(flow, left), said))

    info = yield from proved("credentials", fetch_account(), lambda i: f"signed in as {i.username}")
    balance = yield from proved("balance", refresh_balance(), lambda b: f"{b.spark.net} Spark, {b.sogni.net} Sogni")
    if not (yield from change(lambda state, _: state.settings.disable_socket)):
        yield from proved("socket", open_connection(None), lambda _: "connected and authenticated")
    return HealthReport(
        ok=all(check.ok for check in checks),
        checks=checks,
        username=info.username if info else None,
        balance=balance,
    )


def _proved(checks: list[HealthCheck], name: str, flow: Flow[T], said: Callable[[T], str]) -> Flow[T | None]:
    began = yield from clock()
    try:
        outcome = yield from flow
    except SogniError as error:
        seconds = (yield from clock()) - began
        checks.append(HealthCheck(name=name, ok=False, detail=str(error), error=type(error).__name__, seconds=seconds))
        return None
    seconds = (yield from clock()) - began
    checks.append(HealthCheck(name=name, ok=True, detail=said(outcome), seconds=seconds))
    return outcome
