"""Wallets and signatures: decides how a wallet follows from a password, and what is signed with it (account §2, §3).

Called by the flows through the shells, which compute off the event loop. The arithmetic is that of `eth-account`,
imported only here and only when a signature is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sogni.errors import ProtocolError, ValidationError
from sogni.models.account import Wallet
from sogni.redaction import Secret

SALT = b"sogni-salt-value"
ITERATIONS = 10_000
_VERIFIER = "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"
_AUTHENTICATION = (("walletAddress", "address"), ("nonce", "string"))
_SIGNUP = (
    ("appid", "string"),
    ("username", "string"),
    ("email", "string"),
    ("subscribe", "uint256"),
    ("walletAddress", "address"),
    ("nonce", "string"),
)


def signing_library() -> Any:
    """The part of `eth-account` that signs; importing it takes noticeable time. ImportError names the extra."""
    from sogni.core.account.ethereum import Account

    return Account


def check_text(name: str, value: Any) -> str:
    """A text that is not empty. ValidationError, which never shows the value: it may be a password."""
    if not isinstance(value, str) or not value:
        what = "empty" if isinstance(value, str) else f"of type {type(value).__name__}"
        raise ValidationError(f"{name} must be a text; this one is {what}", field=name, allowed="a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValidationError(f"{name} holds a character that cannot be sent", field=name) from None
    return value


def derive(username: str, password: str) -> Wallet:
    """The wallet of an account (account §2); takes noticeable time. ImportError names the extra."""
    accounts = signing_library()
    seed = (username.lower() + password).encode()
    key = Secret("0x" + hashlib.pbkdf2_hmac("sha256", seed, SALT, ITERATIONS, 32).hex())
    del seed
    return Wallet(address=accounts.from_key(str(key)).address, private_key=str(key))


def domain_of(testnet: bool) -> dict[str, Any]:
    """The domain that signing in is for (account §3)."""
    return {
        "name": "Sogni-testnet" if testnet else "Sogni AI",
        "version": "1",
        "chainId": 84532 if testnet else 8453,
        "verifyingContract": _VERIFIER,
    }


def sign_authentication(wallet: Wallet, nonce: str, *, testnet: bool) -> str:
    """The signature of a sign-in."""
    message = {"walletAddress": wallet.address, "nonce": nonce}
    return _sign(wallet, domain_of(testnet), {"Authentication": _fields(_AUTHENTICATION)}, message)


def sign_signup(wallet: Wallet, values: Mapping[str, Any], nonce: str, *, testnet: bool) -> str:
    """The signature of a new account; `values` may hold more than is signed."""
    known = {**values, "walletAddress": wallet.address, "nonce": nonce}
    message = {name: known[name] for name, _ in _SIGNUP}
    return _sign(wallet, domain_of(testnet), {"Signup": _fields(_SIGNUP)}, message)


def sign_permit(wallet: Wallet, permit: Any) -> str:
    """The signature of what the service asks to be permitted, unchanged (account §3). ProtocolError."""
    given = permit if isinstance(permit, Mapping) else {}
    domain, types, message = (given.get(name) for name in ("domain", "types", "message"))
    if not (isinstance(domain, Mapping) and isinstance(types, Mapping) and isinstance(message, Mapping)):
        raise ProtocolError("the answer holds no permit that can be signed")
    # The domain follows from its own fields; named among the types it would be a second primary type.
    return _sign(wallet, domain, {name: fields for name, fields in types.items() if name != "EIP712Domain"}, message)


def _fields(pairs: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in pairs]


def _sign(wallet: Wallet, domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    accounts = signing_library()
    try:
        # Services also write the chain's number as text.
        numbers = {name: int(value, 0) for name, value in domain.items() if name == "chainId" and type(value) is str}
        signed = accounts.sign_typed_data(wallet.private_key, {**domain, **numbers}, dict(types), dict(message))
        return Secret("0x" + signed.signature.hex().removeprefix("0x"))
    except Exception as error:
        kind = type(error).__name__
    # Outside the handler: the library's own words may quote the message, and its frames hold the key. What cannot be
    # signed came from the service.
    raise ProtocolError(f"the service asks for a signature that cannot be made ({kind})")
