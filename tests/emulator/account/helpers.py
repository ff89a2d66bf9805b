"""Wallets, signatures and sessions of a hand-written client."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import requests
from eth_account import Account as Signer
from eth_account.messages import encode_typed_data

from tests.emulator.wire import DEADLINE, Wire

AUTHENTICATION = [("address", "walletAddress"), ("string", "nonce")]
SIGNUP = [
    ("string", "appid"),
    ("string", "username"),
    ("string", "email"),
    ("uint256", "subscribe"),
    ("address", "walletAddress"),
    ("string", "nonce"),
]
PASSWORD = "Correct Horse 42!"


class Wallet:
    """The wallet derived from a user name and a password."""

    def __init__(self, username: str, password: str) -> None:
        key = hashlib.pbkdf2_hmac("sha256", (username.lower() + password).encode(), b"sogni-salt-value", 10_000, 32)
        self._signer = Signer.from_key(key)
        self.address = str(self._signer.address)

    def sign(self, typed: dict[str, Any]) -> str:
        fields = {field["name"]: field["type"] for fields in typed["types"].values() for field in fields}
        values = {k: int(v) if fields[k] == "uint256" else v for k, v in typed["message"].items()}
        signed = self._signer.sign_message(encode_typed_data(typed["domain"], typed["types"], values))
        return "0x" + bytes(signed.signature).hex()

    def sign_in(self, primary: str, fields: list[tuple[str, str]], *, testnet: bool = False, **values: Any) -> str:
        domain = {
            "name": "Sogni-testnet" if testnet else "Sogni AI",
            "version": "1",
            "chainId": 84532 if testnet else 8453,
            "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
        }
        types = {primary: [{"name": name, "type": kind} for kind, name in fields]}
        return self.sign({"domain": domain, "types": types, "message": values})


def post(wire: Wire, path: str, body: Any, *, headers: dict[str, str] | None = None) -> requests.Response:
    given = wire.headers if headers is None else headers
    return requests.post(wire.supernet.rest_endpoint + path, json=body, headers=given, timeout=DEADLINE)


def error_of(reply: requests.Response) -> tuple[int, int]:
    """Return the status and the error code of an error envelope."""
    body = reply.json()
    assert body["status"] == "error", body
    assert body["message"]
    return reply.status_code, body["errorCode"]


def nonce(wire: Wire, address: str) -> str:
    reply = post(wire, "/v1/account/nonce", {"walletAddress": address}, headers={})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["data"]["nonce"])


def login_body(wire: Wire, wallet: Wallet, *, testnet: bool = False, **changes: Any) -> dict[str, Any]:
    given = nonce(wire, wallet.address)
    signed = wallet.sign_in(
        "Authentication", AUTHENTICATION, walletAddress=wallet.address, nonce=given, testnet=testnet
    )
    return {"walletAddress": wallet.address, "signature": signed, "rememberMe": False, **changes}


def login(wire: Wire, wallet: Wallet, **changes: Any) -> requests.Response:
    return post(wire, "/v1/account/login", login_body(wire, wallet, **changes), headers={})


def sign_in(wire: Wire, username: str = "local-artist", password: str = "local password") -> dict[str, str]:
    """Sign in, use the access token from now on, and return the response data."""
    reply = login(wire, Wallet(username, password))
    assert reply.status_code == 200, reply.text
    data: dict[str, str] = reply.json()["data"]
    wire.headers = {"Authorization": data["token"]}
    return data


def create_body(wire: Wire, username: str = "FactSheetUser", **changes: Any) -> dict[str, Any]:
    wallet = Wallet(username, PASSWORD)
    signed = {
        "appid": "demo-app",
        "username": username,
        "email": f"{username}@example.test",
        "subscribe": 1,
        "walletAddress": wallet.address,
    }
    signature = wallet.sign_in("Signup", SIGNUP, **signed, nonce=nonce(wire, wallet.address))
    return {**signed, "turnstileToken": "tt", "signature": signature, "rememberMe": False, **changes}


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded
