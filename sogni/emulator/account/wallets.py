"""Wallets: deriving addresses, recovering signers, and the permits a wallet signs for token transfers.

The signing library is large and optional. It is imported on first use, so an emulator that only sees API keys runs
without it.
"""
# Protocol notes: account §2, §3, §9, §10.

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, Literal

from attrs import define, field

from sogni.emulator.account.accounts import Provider
from sogni.emulator.account.sessions import Pending

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
    """The signing library is not installed; the message names the extra that provides it."""


def _library() -> Any:
    with suppress(ImportError):
        # This module loads eth-account without changing the recursion limit of the process.
        import_module("sogni.core.account.ethereum")
    try:
        from eth_account import Account
    except ModuleNotFoundError as error:
        raise WalletSupportMissingError(
            "accounts with a password require eth-account, which is not installed: pip install 'sogni[wallet]'",
            name=error.name,
        ) from None
    return Account


def address_of(username: str, password: str) -> str:
    """Return the address derived from a user name and a password."""
    # Protocol notes: account §2.
    library = _library()
    secret = (username.lower() + password).encode()
    key = hashlib.pbkdf2_hmac("sha256", secret, _SALT, _ROUNDS, 32)
    return str(library.from_key(key).address)


def message(primary: str, values: Mapping[str, Any], *, testnet: bool) -> dict[str, object]:
    """Return the typed data of a sign-in or sign-up."""
    # Protocol notes: account §3.
    domain = {
        "name": "Sogni-testnet" if testnet else "Sogni AI",
        "version": "1",
        "chainId": 84532 if testnet else 8453,
        "verifyingContract": _CONTRACT,
    }
    fields = _TYPES[primary]
    return {"domain": domain, "types": {primary: fields}, "message": {f["name"]: values[f["name"]] for f in fields}}


def signer_of(typed: Mapping[str, Any], signature: str) -> str | None:
    """Return the address that signed typed data, or None if the signature is malformed."""
    library = _library()
    from eth_account.messages import encode_typed_data

    try:
        encoded = encode_typed_data(typed["domain"], typed["types"], _with_numbers(typed))
        return str(library.recover_message(encoded, signature=signature))
    except Exception:
        # For malformed input, the library raises errors of four packages; they all mean the same here.
        return None


def _with_numbers(typed: Mapping[str, Any]) -> dict[str, object]:
    """Convert large numbers, which are sent as decimal strings, to the integers that are signed."""
    types = {field["name"]: field["type"] for fields in typed["types"].values() for field in fields}
    return {name: int(value) if types[name].startswith("uint") else value for name, value in typed["message"].items()}


LIFETIME = 1200
"""Seconds a permit waits for its signature."""

Spender = Literal["account", "staker"]
Key = tuple[str, ...]

_CHAINS: Mapping[tuple[Provider, bool], int] = {
    ("base", False): 8453,
    ("base", True): 84532,
    ("etherlink", False): 42793,
    ("etherlink", True): 128123,
}
_TOKEN_CONTRACT = "0x1111111111111111111111111111111111111111"
_DEPOSIT_CONTRACT = "0x2222222222222222222222222222222222222222"
_STAKER_CONTRACT = "0x3333333333333333333333333333333333333333"
_SPENDERS: Mapping[Spender, str] = {"account": _DEPOSIT_CONTRACT, "staker": _STAKER_CONTRACT}
_WITHDRAW = {"wallet": "address", "amount": "uint256", "nonce": "uint256", "deadline": "uint256"}
_PERMIT = {
    "owner": "address",
    "spender": "address",
    "value": "uint256",
    "nonce": "uint256",
    "deadline": "uint256",
}
_UNLIMITED = str(2**256 - 1)


@define
class Permits(Pending[dict[str, Any]]):
    """The permits that wait for a signature. Each is valid once, for the operation it was issued for.

    The key is the kind of operation, wallet, provider, and amount or spender.
    """

    testnet: bool = field(kw_only=True)
    _count: int = 0

    def withdrawal(self, wallet: str, provider: Provider, amount: str) -> dict[str, object]:
        """Issue the permit for a withdrawal; ``amount`` is in units of 10^-18."""
        domain = self._domain("Sogni Account", provider, _DEPOSIT_CONTRACT)
        message = {"wallet": wallet, "amount": amount, **self._nonce()}
        return self._permit(("withdraw", wallet, provider, amount), domain, "Withdraw", _WITHDRAW, message)

    def approval(self, wallet: str, provider: Provider, spender: Spender) -> dict[str, object]:
        """Issue the permit that lets a contract spend without limit."""
        domain = self._domain("Sogni Token", provider, _TOKEN_CONTRACT)
        message = {"owner": wallet, "spender": _SPENDERS[spender], "value": _UNLIMITED, **self._nonce()}
        return self._permit(("approve", wallet, provider, spender), domain, "Permit", _PERMIT, message)

    def _nonce(self) -> dict[str, Any]:
        self._count += 1
        return {"nonce": str(self._count), "deadline": int(self.clock()) + LIFETIME}

    def _domain(self, name: str, provider: Provider, contract: str) -> dict[str, object]:
        chain = _CHAINS[provider, self.testnet]
        return {"name": name, "version": "1", "chainId": chain, "verifyingContract": contract}

    def _permit(
        self, key: Key, domain: Mapping[str, Any], primary: str, fields: Mapping[str, str], message: Mapping[str, Any]
    ) -> dict[str, Any]:
        types = {primary: [{"name": name, "type": kind} for name, kind in fields.items()]}
        return self.issue({"domain": domain, "types": types, "message": message}, LIFETIME, *key)
