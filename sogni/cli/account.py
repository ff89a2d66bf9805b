"""The commands `sogni account` and `sogni check`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import AUTHENTICATION, DONE, FAILED, Command, print_stderr
from sogni.cli.output import print_json, print_table, write
from sogni.errors import AuthenticationError
from sogni.models.account import ZERO
from sogni.models.connection import HealthReport
from sogni.models.converter import to_dict

if TYPE_CHECKING:
    from sogni.client import SogniClient

Row = tuple[str, ...]
View = tuple[Any, Row, list[Row]]
"""JSON document, table headings and table rows."""


@click.command(cls=Command)
@click.argument(
    "what", required=False, type=click.Choice(("me", "balance", "history", "rewards", "subscription", "usage"))
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Show at most this many transactions with 'history'.",
)
@connection_options
def account(connection: ConnectionOptions, what: str | None, limit: int) -> None:
    """Show the account and its balance, or one part of it.

    Example: sogni account history --limit 50
    """
    with connection.client() as client:
        document, headings, rows = _VIEWS[what](client, limit)
    if connection.as_json:
        print_json(document)
    else:
        print_table(headings, rows)


def _summary(client: SogniClient, limit: int) -> View:
    me, headings, rows = _me(client, limit)
    balance, _, amounts = _balance(client, limit)
    return {"account": me, "balance": balance}, headings, [*rows, *amounts]


def _me(client: SogniClient, _: int) -> View:
    me = client.account.me()
    rows = [("username", me.username or ""), ("e-mail", me.current_email or ""), ("wallet", me.wallet_address or "")]
    return to_dict(me), ("account", ""), list(rows)


def _balance(client: SogniClient, _: int) -> View:
    balance = client.account.account_balance()
    rows = [("Spark", f"{balance.spark.net:f}"), ("Sogni", f"{balance.sogni.net:f}")]
    return to_dict(balance), ("balance", ""), list(rows)


def _history(client: SogniClient, limit: int) -> View:
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


def _rewards(client: SogniClient, _: int) -> View:
    rewards = client.account.rewards()
    rows = [
        (
            it.id,
            f"{it.amount:f}",
            it.token_type,
            "claimable" if it.can_claim else it.cant_claim_reason or "",
            it.title,
        )
        for it in rewards
    ]
    return to_dict(rewards), ("id", "amount", "token", "state", "title"), list(rows)


def _subscription(client: SogniClient, _: int) -> View:
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


def _usage(client: SogniClient, _: int) -> View:
    usage = client.account.get_subscription_usage()
    rows = [("jobs", str(usage.period_jobs)), ("Spark for rendering", f"{usage.period_render_spark:f}")]
    if usage.trial_ends_at is not None:
        used, limit = usage.trial_credits_used or ZERO, usage.trial_credits_limit or ZERO
        rows += [("trial until", f"{usage.trial_ends_at:%Y-%m-%d}"), ("trial credits used", f"{used:f} of {limit:f}")]
    return to_dict(usage), ("this billing period", ""), list(rows)


_VIEWS = {
    None: _summary,
    "me": _me,
    "balance": _balance,
    "history": _history,
    "rewards": _rewards,
    "subscription": _subscription,
    "usage": _usage,
}


@click.command(cls=Command)
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    help="Limit each step to this many seconds. Default: 10 to connect, 30 for a response.",
)
@connection_options
def check(connection: ConnectionOptions, timeout: float | None) -> int:
    """Check the credentials, the connection and the balance. Nothing is spent.

    Exits with code 3 if the credentials are rejected and 1 if another check fails.

    Example: sogni check --timeout 10
    """
    with connection.client(timeout) as client:
        report = client.check(timeout)
    if connection.as_json:
        print_json(report)
    else:
        write(str(report))
    if report.ok:
        return DONE
    failed = ", ".join(check.name for check in report.checks if not check.ok)
    print_stderr(f"failed: {failed}")
    return AUTHENTICATION if credentials_rejected(report) else FAILED


def credentials_rejected(report: HealthReport) -> bool:
    """Return whether the service rejected the credentials, as opposed to being unreachable."""
    return any(check.error == AuthenticationError.__name__ for check in report.checks)
