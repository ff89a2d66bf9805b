"""`sogni account`: whose key it is, and what the account has."""

from __future__ import annotations

import click

from ..models.converter import to_dict
from .access import Access, accessing
from .commands import Command
from .output import print_json, print_table


@click.command(cls=Command)
@accessing
def account(access: Access) -> None:
    """Show who the key belongs to, and the balance."""
    with access.client() as client:
        me = client.account.me()
        balance = client.account.account_balance()
    if access.as_json:
        print_json({"account": to_dict(me), "balance": to_dict(balance)})
        return
    print_table(
        ("account", ""),
        [
            ("username", me.username or ""),
            ("e-mail", me.current_email or ""),
            ("wallet", me.wallet_address or ""),
            ("Spark", f"{balance.spark.net:f}"),
            ("Sogni", f"{balance.sogni.net:f}"),
        ],
    )
