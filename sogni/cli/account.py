"""`sogni account`: whose account it is, and what it has and had."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import Access, accessing
from sogni.cli.exit_codes import AUTHENTICATION, DONE, FAILED, Command, say
from sogni.cli.output import print_json, print_table, write
from sogni.errors import AuthenticationError
from sogni.models.connection import HealthReport
from sogni.models.converter import to_dict

if TYPE_CHECKING:
    from sogni.client import SogniClient

Row = tuple[str, ...]
Shown = tuple[Any, Row, list[Row]]
"""The JSON document, and the headings and rows of the table."""


@click.command(cls=Command)
@click.argument("what", required=False, type=click.Choice(("me", "balance", "history", "rewards", "subscription")))
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How much of the history.")
@accessing
def account(access: Access, what: str | None, limit: int) -> None:
    """Show whose account it is, and the balance; or WHAT else there is to know."""
    with access.client() as client:
        document, headings, rows = _SHOWN[what](client, limit)
    if access.as_json:
        print_json(document)
    else:
        print_table(headings, rows)


def _summary(client: SogniClient, limit: int) -> Shown:
    me, headings, rows = _me(client, limit)
    balance, _, amounts = _balance(client, limit)
    return {"account": me, "balance": balance}, headings, [*rows, *amounts]


def _me(client: SogniClient, _: int) -> Shown:
    me = client.account.me()
    rows = [("username", me.username or ""), ("e-mail", me.current_email or ""), ("wallet", me.wallet_address or "")]
    return to_dict(me), ("account", ""), list(rows)


def _balance(client: SogniClient, _: int) -> Shown:
    balance = client.account.account_balance()
    rows = [("Spark", f"{balance.spark.net:f}"), ("Sogni", f"{balance.sogni.net:f}")]
    return to_dict(balance), ("balance", ""), list(rows)


def _history(client: SogniClient, limit: int) -> Shown:
    entries = list(islice(client.account.transactions(limit=min(limit, 100)), limit))
    rows = [
        (
            f"{entry.create_time:%Y-%m-%d %H:%M}" if entry.create_time else "",
            f"{entry.amount:f}",
            entry.token_type or "",
            entry.description or "",
        )
        for entry in entries
    ]
    return to_dict(entries), ("time", "amount", "token", "what"), list(rows)


def _rewards(client: SogniClient, _: int) -> Shown:
    rewards = client.account.rewards()
    rows = [
        (
            it.id,
            f"{it.amount:f}",
            it.token_type,
            "can be claimed" if it.can_claim else it.cant_claim_reason or "",
            it.title,
        )
        for it in rewards
    ]
    return to_dict(rewards), ("id", "amount", "token", "state", "title"), list(rows)


def _subscription(client: SogniClient, _: int) -> Shown:
    found = client.account.refresh_subscription()
    until = f"{found.current_period_end:%Y-%m-%d}" if found.current_period_end else ""
    rows = [
        ("active", "yes" if found.active else "no"),
        ("status", found.status),
        ("tier", found.tier or ""),
        ("term", found.term or ""),
        ("until", until),
    ]
    return to_dict(found), ("subscription", ""), list(rows)


_SHOWN = {
    None: _summary,
    "me": _me,
    "balance": _balance,
    "history": _history,
    "rewards": _rewards,
    "subscription": _subscription,
}


# `sogni check`: whether everything that a project needs works.


@click.command(cls=Command)
@click.option("--timeout", type=float, metavar="SECONDS", help="Give every step at most this long.")
@accessing
def check(access: Access, timeout: float | None) -> int:
    """Prove key, connection and balance without spending anything.

    Exit code 3 when the key is refused, 1 when anything else does not work.
    """
    with access.client(timeout) as client:
        report = client.check(timeout)
    if access.as_json:
        print_json(report)
    else:
        write(str(report))
    if report.ok:
        return DONE
    failed = ", ".join(check.name for check in report.checks if not check.ok)
    say(f"does not work: {failed}")
    return AUTHENTICATION if refused(report) else FAILED


def refused(report: HealthReport) -> bool:
    """Whether the service refused the key; a service that cannot be reached has not."""
    return any(check.error == AuthenticationError.__name__ for check in report.checks)
