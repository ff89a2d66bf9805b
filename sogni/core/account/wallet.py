"""Wallets and signatures: derive a wallet from a password and sign with it.

The front ends run these functions off the event loop. `eth-account` does the cryptography; it is imported only here,
when a signature is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sogni.errors import ProtocolError
from sogni.models.account import Wallet
from sogni.redaction import Secret

# account §2, §3
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
    """Return the signing part of `eth-account`, which takes a while. Raises `ImportError` if the extra is missing."""
    from sogni.core.account.ethereum import Account

    return Account


def derive(username: str, password: str) -> Wallet:
    """Derive the wallet of an account; takes a while. Raises `ImportError` if the extra is missing."""
    accounts = signing_library()
    seed = (username.lower() + password).encode()
    key = Secret("0x" + hashlib.pbkdf2_hmac("sha256", seed, SALT, ITERATIONS, 32).hex())
    del seed
    return Wallet(address=accounts.from_key(str(key)).address, private_key=str(key))


def domain_of(testnet: bool) -> dict[str, Any]:
    """Return the EIP-712 domain for signing in."""
    return {
        "name": "Sogni-testnet" if testnet else "Sogni AI",
        "version": "1",
        "chainId": 84532 if testnet else 8453,
        "verifyingContract": _VERIFIER,
    }


def sign_authentication(wallet: Wallet, nonce: str, *, testnet: bool) -> str:
    """Sign a sign-in."""
    message = {"walletAddress": wallet.address, "nonce": nonce}
    return _sign(wallet, domain_of(testnet), {"Authentication": _fields(_AUTHENTICATION)}, message)


def sign_signup(wallet: Wallet, values: Mapping[str, Any], nonce: str, *, testnet: bool) -> str:
    """Sign a new account; `values` may contain more than is signed."""
    known = {**values, "walletAddress": wallet.address, "nonce": nonce}
    message = {name: known[name] for name, _ in _SIGNUP}
    return _sign(wallet, domain_of(testnet), {"Signup": _fields(_SIGNUP)}, message)


def sign_permit(wallet: Wallet, permit: Any) -> str:
    """Sign a permit from the service unchanged. Raises `ProtocolError` if it is malformed."""
    given = permit if isinstance(permit, Mapping) else {}
    domain, types, message = (given.get(name) for name in ("domain", "types", "message"))
    if not (isinstance(domain, Mapping) and isinstance(types, Mapping) and isinstance(message, Mapping)):
        raise ProtocolError("the response contains no valid permit")
    # The domain type follows from the domain's fields; in `types` it would count as a second primary type.
    return _sign(wallet, domain, {name: fields for name, fields in types.items() if name != "EIP712Domain"}, message)


def _fields(pairs: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in pairs]


def _sign(wallet: Wallet, domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    accounts = signing_library()
    try:
        # Some services send the chain id as a string.
        numbers = {name: int(value, 0) for name, value in domain.items() if name == "chainId" and type(value) is str}
        signed = accounts.sign_typed_data(wallet.private_key, {**domain, **numbers}, dict(types), dict(message))
        return Secret("0x" + signed.signature.hex().removeprefix("0x"))
    except Exception as error:
        kind = type(error).__name__
    # Outside the handler: the library's error may quote the message, and its frames hold the key. Data that cannot be
    # signed came from the service.
    raise ProtocolError(f"the service requested a signature that cannot be created ({kind})")
