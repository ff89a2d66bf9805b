"""Wallets and signatures to the byte (account §2, §3), and amounts (account §8)."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest

from sogni.core.account.token_transfers import smallest_units
from sogni.core.account.wallet import derive, domain_of, sign_authentication, sign_permit, sign_signup
from sogni.core.checks import private_text
from sogni.errors import ProtocolError, ValidationError
from tests.tables import each_row

NONCE = "nonce-abc-123"
WALLET = derive("FactSheetUser", "Correct Horse 42!")
SIGNUP = {"appid": "demo-app", "username": "FactSheetUser", "email": "user@example.com", "subscribe": 1, "other": 0}


@pytest.mark.parametrize(
    ("username", "password", "key", "address"),
    [
        (
            "FactSheetUser",
            "Correct Horse 42!",
            "0x50e427a8cdb22f66727056889af6b97f7501d835294509e9c3f8d06c2367c198",
            "0x28578Fb373d3E2a2431cd7e2eCCed24a0eDE234E",
        ),
        (
            "zoë_test",
            "pässwörd",
            "0x28e8c84d389a5372cbab02213e84cfe118aee125f05acf1776285b4cd6e1f84d",
            "0xf5597be1408d2499a9f0d3689ccC137A4F2B9Fe6",
        ),
    ],
)
def test_a_password_makes_the_wallet_of_the_sheet(username: str, password: str, key: str, address: str) -> None:
    assert (derive(username, password).private_key, derive(username.upper(), password).address) == (key, address)


@pytest.mark.parametrize(
    ("testnet", "expected"),
    [
        (
            False,
            "0x44890bcbb13a625b778860afdf6e3c2c88f3437122610d22bb702baa9d0fe20b"
            "72c569383fff42bf7d01f699f875b097cf4492621be37439cc73ffc760bea92f1c",
        ),
        (
            True,
            "0x63fe39419e88abd559fefcdcc46cbcd00f95683a2ec91eefa8f032a4d89fe72c"
            "545248613c1873993654447a7a30c0a6b25727d61f8caaeb3056e60183edf27f1c",
        ),
    ],
)
def test_signing_in(testnet: bool, expected: str) -> None:
    assert sign_authentication(WALLET, NONCE, testnet=testnet) == expected


@pytest.mark.parametrize(
    ("testnet", "expected"),
    [
        (
            False,
            "0xf4c267a05f47e1650a424490abe37e9b33d5d083611423ad99f244d8b11c9957"
            "6edc4ddffa96983dbd46637cb9e528ab1b998ce925efe26723d83e9986d66ff91b",
        ),
        (
            True,
            "0x0d9340f025696e8e29ad4ad693563a94c015a560fd8c4612ed9f58b16cabe5d3"
            "7446e95c64b26f8a0f0263bf7974eaf01969fe607b58626980f33f86a329a5e51c",
        ),
    ],
)
def test_signing_up(testnet: bool, expected: str) -> None:
    assert sign_signup(WALLET, SIGNUP, NONCE, testnet=testnet) == expected


def permit(**changes: Any) -> dict[str, Any]:
    fields = [{"name": "walletAddress", "type": "address"}, {"name": "nonce", "type": "string"}]
    return {
        "domain": domain_of(False),
        "types": {"Authentication": fields},
        "message": {"walletAddress": WALLET.address, "nonce": NONCE},
        **changes,
    }


def test_a_permit_is_signed_as_it_is() -> None:
    """The domain may stand among the types, and its chain may be a text."""
    types = {**permit()["types"], "EIP712Domain": [{"name": "name", "type": "string"}]}
    expected = sign_authentication(WALLET, NONCE, testnet=False)
    assert sign_permit(WALLET, permit()) == expected
    assert sign_permit(WALLET, permit(types=types, domain={**domain_of(False), "chainId": "8453"})) == expected


@pytest.mark.parametrize("given", [None, {}, permit(types=None), permit(types={}), permit(message={"nonce": 5})])
def test_a_permit_that_cannot_be_signed(given: Any) -> None:
    with pytest.raises(ProtocolError):
        sign_permit(WALLET, given)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sogni.core.account.ethereum", raising=False)
    monkeypatch.setitem(sys.modules, "eth_account", None)
    with pytest.raises(ImportError, match=r"sogni\[wallet\]"):
        derive("a", "b")


def test_the_library_leaves_the_recursion_limit_as_it_was() -> None:
    """Otherwise a deeply nested frame would end the process."""
    code = "import sys; a = sys.getrecursionlimit; was = a(); import sogni.core.account.ethereum; print(a() == was)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


@pytest.mark.parametrize("value", ["", None, 5, b"x", "\ud800"])
def test_what_is_no_text_is_refused_without_being_shown(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        private_text("password", value)
    assert (caught.value.field, caught.value.value) == ("password", None)
    assert private_text("password", "ok") == "ok"


class NumpyLike(float):
    """A number with other words for itself, as those of numpy 2."""

    def __repr__(self) -> str:
        return f"np.float64({float(self)})"


@each_row(
    ("amount", "units"),
    [
        ("1.5", "1500000000000000000"),
        (1.5, "1500000000000000000"),
        (2, "2000000000000000000"),
        (10**30, "1" + "0" * 48),
        ("0.000000000000000001", "1"),
        (Decimal("1E-18"), "1"),
        (".5", "500000000000000000"),
        ("5.", "5000000000000000000"),
        ("1.0000000000000000000000", "1000000000000000000"),
        ("-1", "-1000000000000000000"),
        (0.1, "100000000000000000"),
        (0.000001, "1000000000000"),
        (Decimal("0.3"), "300000000000000000"),
        (0.1 + 0.2, "300000000000000040"),
        (NumpyLike(1.5), "1500000000000000000"),
    ],
)
def test_amounts_are_exact(amount: Any, units: str) -> None:
    assert smallest_units(amount) == units


@each_row(
    "amount",
    ["", " 1", "1e-7", 1e-7, 1e22, "+1", ".", "-", "1_0", "١", "0x1", None, True, float("nan"), float("inf"), b"1",
     Decimal("NaN"), Decimal("1E+400"), Decimal("1E-19"), "0.0000000000000000001", "1" * 100, [], -(10**96)],
)  # fmt: skip
def test_what_is_no_exact_amount_is_refused(amount: Any) -> None:
    with pytest.raises(ValidationError):
        smallest_units(amount)


def test_an_integer_without_an_end_is_refused_like_any_other() -> None:
    """Python itself refuses to write one."""
    with pytest.raises(ValidationError) as caught:
        smallest_units(10**5000)
    assert (caught.value.field, caught.value.value) == ("amount", None)


def test_what_may_be_a_password_is_not_shown() -> None:
    shown = []
    for amount in ("1e-7", "1,5", "a good password", "x" * 100):
        with pytest.raises(ValidationError) as caught:
            smallest_units(amount)
        shown.append((amount in str(caught.value), caught.value.value))
    assert shown == [(True, "1e-7"), (True, "1,5"), (False, None), (False, None)]


@pytest.mark.parametrize("amount", [0, "0.0", -1, "-0.5", 0.0])
def test_only_amounts_above_zero_can_be_taken_out(amount: Any) -> None:
    with pytest.raises(ValidationError):
        smallest_units(amount, positive=True)
    assert int(smallest_units(amount)) <= 0
