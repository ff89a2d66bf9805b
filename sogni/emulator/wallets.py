"""Wallets: which address belongs to a user name and a password, and who signed a message.

Called by the routes that take signatures (account §2, §3) and by ``add_account``. It stores nothing. The
signing library is heavy and optional: it is imported when it is first needed, so an emulator that only sees
API keys runs without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

_SALT = b"sogni-salt-value"
_ROUNDS = 10_000
_CONTRACT = "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"
_TYPES: Mapping[str, list[dict[str, str]]] = {
    "Authentication": [{"name": "walletAddress", "type": "address"}, {"name": "nonce", "type": "string"}],
    "Signup": [
        {"name": "appid", "type": "string"},
        {"name": "username", "type": "string"},
        {"name": "email", "type": "string"},
        {"name": "subscribe", "type": "uint256"},
        {"name": "walletAddress", "type": "address"},
        {"name": "nonce", "type": "string"},
    ],
}


class WalletSupportMissingError(ModuleNotFoundError):
    """The signing library is not installed; the text names the extra that brings it."""


def _library() -> Any:
    with suppress(ImportError):
        # First of all, because it keeps the process's recursion limit as it is.
        import_module("sogni.protocol.ethereum")
    try:
        from eth_account import Account
    except ModuleNotFoundError as error:
        raise WalletSupportMissingError(
            "accounts with a password need eth-account, which is not installed: pip install 'sogni[wallet]'",
            name=error.name,
        ) from None
    return Account


def address_of(username: str, password: str) -> str:
    """Return the address that a user name and a password derive (account §2)."""
    library = _library()
    secret = (username.lower() + password).encode()
    key = hashlib.pbkdf2_hmac("sha256", secret, _SALT, _ROUNDS, 32)
    return str(library.from_key(key).address)


def message(primary: str, values: Mapping[str, Any], *, testnet: bool) -> dict[str, Any]:
    """Return the typed data of a sign-in or sign-up (account §3)."""
    domain = {
        "name": "Sogni-testnet" if testnet else "Sogni AI",
        "version": "1",
        "chainId": 84532 if testnet else 8453,
        "verifyingContract": _CONTRACT,
    }
    fields = _TYPES[primary]
    return {"domain": domain, "types": {primary: fields}, "message": {f["name"]: values[f["name"]] for f in fields}}


def signer_of(typed: Mapping[str, Any], signature: str) -> str | None:
    """Return the address that signed typed data, or None when the signature is none at all."""
    library = _library()
    from eth_account.messages import encode_typed_data

    try:
        encoded = encode_typed_data(typed["domain"], typed["types"], _with_numbers(typed))
        return str(library.recover_message(encoded, signature=signature))
    except Exception:
        # The library raises errors of four packages for malformed input; all mean the same here.
        return None


def _with_numbers(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Large numbers travel as decimal texts; they are signed as numbers."""
    types = {field["name"]: field["type"] for fields in typed["types"].values() for field in fields}
    return {name: int(value) if types[name].startswith("uint") else value for name, value in typed["message"].items()}
