"""The account behind the key, across starts: the same key, and what it owned last.

Called when an emulator is made. Without a directory the account is a new one.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from .accounts import Account, Balance, make_account
from .archive import Archive


def kept_account(directory: Path | None, api_key: str | None, owned: Balance) -> Account:
    """Return the account a directory remembers. A key that is given replaces the kept one; the kept balance goes
    before that which is given."""
    archive = Archive(directory)
    try:
        archive.open()
        account = make_account(api_key=api_key or archive.fact("api_key"), spark=owned.spark, sogni=owned.sogni)
        balance = archive.fact(f"balance {account.wallet_address}")
        if balance is not None:
            account.set_balance(spark=balance["spark"], sogni=balance["sogni"])
        if archive.keeps:
            archive.set_fact("api_key", account.api_key)
        return account
    except sqlite3.OperationalError as error:
        raise RuntimeError(f"{directory} cannot be used: {error}; does another emulator run on it?") from error
    finally:
        archive.close()
