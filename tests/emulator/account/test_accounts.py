"""Creating accounts, signing in, refreshing tokens and signing out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests
import websocket

from sogni.emulator import LocalSupernet, NotFreeError, RecordedRequest
from sogni.emulator.account.wallets import address_of
from tests.emulator.account.helpers import (
    PASSWORD,
    Wallet,
    claims,
    create_body,
    error_of,
    login,
    login_body,
    nonce,
    post,
    sign_in,
)
from tests.emulator.wire import DEADLINE, Wire

REFRESH = "/v1/account/refresh-token"
ME = "/v1/account/me"


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as running:
        yield running


def test_the_derived_address_matches_the_protocol_notes() -> None:
    assert address_of("FactSheetUser", PASSWORD) == "0x28578Fb373d3E2a2431cd7e2eCCed24a0eDE234E"
    assert address_of("zoë_test", "pässwörd") == "0xf5597be1408d2499a9f0d3689ccC137A4F2B9Fe6"


def test_the_account_behind_the_key_can_also_sign_in(wire: Wire, supernet: LocalSupernet) -> None:
    account = supernet.account
    assert account.password is not None
    assert account.wallet_address == Wallet(account.username, account.password).address
    data = sign_in(wire, account.username, account.password)
    assert set(data) == {"token", "refreshToken", "username"}
    assert data["username"] == account.username
    assert wire.data(ME)["walletAddress"] == account.wallet_address


def test_a_new_account_starts_signed_in_and_without_money(wire: Wire) -> None:
    reply = post(wire, "/v1/account/create", create_body(wire), headers={})
    assert reply.status_code == 200, reply.text
    assert set(reply.json()["data"]) == {"token", "refreshToken"}
    wire.headers = {"Authorization": reply.json()["data"]["token"]}
    assert wire.data(ME)["currentEmail"] == "FactSheetUser@example.test"
    assert wire.data("/v4/account/balance")["spark"]["net"] == "0"
    assert login(wire, Wallet("FactSheetUser", PASSWORD)).status_code == 200
    assert error_of(login(wire, Wallet("FactSheetUser", "wrong")))[0] == 401


def test_a_signature_of_the_other_network_is_refused(wire: Wire, supernet: LocalSupernet) -> None:
    wallet = Wallet("local-artist", "local password")
    assert error_of(login(wire, wallet, testnet=True)) == (401, 105)
    with LocalSupernet(testnet=True) as test, Wire(test) as other:
        assert login(other, wallet, testnet=True).status_code == 200
        assert error_of(login(other, wallet))[0] == 401


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"username": "!"}, (400, 109)),
        ({"username": "Local-Artist"}, (409, 108)),
        ({"email": "nowhere"}, (400, 0)),
        ({"subscribe": True}, (400, 0)),
        ({"subscribe": 2}, (400, 0)),
        ({"turnstileToken": ""}, (400, 0)),
        ({"appid": ""}, (400, 0)),
        ({"walletAddress": "0x12"}, (400, 0)),
        ({"email": "someone@example.test"}, (401, 105)),
        ({"signature": "0x12"}, (401, 105)),
        ({"signature": "rubbish"}, (401, 105)),
        ({"username": "x\ud800yz"}, (400, 109)),
        ({"appid": "\ud800"}, (401, 105)),
        ({"rememberMe": "yes"}, (400, 0)),
    ],
)
def test_an_invalid_account_is_refused(wire: Wire, changes: dict[str, object], expected: tuple[int, int]) -> None:
    body = {**create_body(wire), **changes}
    assert error_of(post(wire, "/v1/account/create", body, headers={})) == expected


def test_a_wallet_and_an_email_address_belong_to_one_account(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.add_account("someone", "secret", email="FactSheetUser@example.test")
    assert error_of(post(wire, "/v1/account/create", create_body(wire), headers={})) == (409, 0)
    for taken in ("SOMEONE", "local-artist"):
        with pytest.raises(NotFreeError):
            supernet.add_account(taken, "other")
    with pytest.raises(NotFreeError, match="key"):
        supernet.add_account("third", "secret", api_key=supernet.api_key)


def test_a_nonce_is_good_for_one_signature(wire: Wire) -> None:
    wallet = Wallet("local-artist", "local password")
    body = login_body(wire, wallet)
    assert post(wire, "/v1/account/login", body, headers={}).status_code == 200
    assert error_of(post(wire, "/v1/account/login", body, headers={})) == (401, 105)


def test_several_clients_may_hold_a_nonce_of_one_wallet(wire: Wire) -> None:
    wallet = Wallet("local-artist", "local password")
    bodies = [login_body(wire, wallet) for _ in range(3)]
    assert len({nonce(wire, wallet.address) for _ in range(3)}) == 3
    assert [post(wire, "/v1/account/login", body, headers={}).status_code for body in bodies] == [200, 200, 200]


@pytest.mark.parametrize(("username", "expected"), [("!", (400, 109)), ("LOCAL-ARTIST", (409, 108))])
def test_an_unavailable_user_name_is_refused(wire: Wire, username: str, expected: tuple[int, int]) -> None:
    assert error_of(post(wire, "/v1/account/username/validate", {"username": username})) == expected


def test_a_free_user_name_needs_no_credentials(wire: Wire) -> None:
    reply = post(wire, "/v1/account/username/validate", {"username": "zoë_test"}, headers={})
    assert (reply.status_code, reply.json()["status"]) == (200, "success")


def test_tokens_have_the_claims_of_the_service(wire: Wire, supernet: LocalSupernet) -> None:
    data = sign_in(wire)
    access, refresh = claims(data["token"]), claims(data["refreshToken"])
    assert access["addr"] == supernet.account.wallet_address
    assert refresh["type"] == "refresh"
    assert {"env", "iat", "exp"} <= access.keys() & refresh.keys()
    assert access["iat"] < access["exp"] < refresh["exp"]


def test_a_token_opens_both_hosts_and_the_socket(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.add_account("second", "secret", spark=5)
    sign_in(wire, "second", "secret")
    assert wire.data(ME)["username"] == "second"
    assert wire.get("/api/v1/models/list").status_code == 200
    wire.connect()
    assert wire.receive()[1]["username"] == "second"


@pytest.mark.parametrize("spoil", ["Bearer {}", "{}x", "x{}", "", "a.b.c", "ÿ.é.ü"])
def test_anything_but_the_raw_token_is_refused(wire: Wire, spoil: str) -> None:
    token = sign_in(wire)["token"]
    wire.headers = {"Authorization": spoil.format(token).encode("latin-1").decode("latin-1")}
    assert error_of(wire.get(ME)) == (401, 101)
    assert wire.get("/api/v1/models/list").status_code == 401
    with pytest.raises(websocket.WebSocketBadStatusException):
        wire.connect()


def test_refresh_and_access_tokens_are_not_interchangeable(wire: Wire) -> None:
    data = sign_in(wire)
    wire.headers = {"Authorization": data["refreshToken"]}
    assert error_of(wire.get(ME)) == (401, 101)
    assert error_of(post(wire, REFRESH, {"refreshToken": data["token"]}, headers={})) == (401, 107)


def test_a_refresh_replaces_both_tokens(wire: Wire) -> None:
    data = sign_in(wire)
    reply = post(wire, REFRESH, {"refreshToken": data["refreshToken"]}, headers={})
    fresh = reply.json()["data"]
    assert set(fresh) == {"token", "refreshToken"}
    assert not {data["token"], data["refreshToken"]} & set(fresh.values())
    assert error_of(post(wire, REFRESH, {"refreshToken": data["refreshToken"]}, headers={})) == (401, 107)
    wire.headers = {"Authorization": fresh["token"]}
    assert wire.get(ME).status_code == 200


def test_access_tokens_expire_and_a_refresh_helps(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.set_token_lifetimes(access=-1)
    data = sign_in(wire)
    assert claims(data["token"])["exp"] < time.time()
    assert error_of(wire.get(ME)) == (401, 101)
    supernet.set_token_lifetimes(access=60)
    fresh = post(wire, REFRESH, {"refreshToken": data["refreshToken"]}, headers={}).json()["data"]
    wire.headers = {"Authorization": fresh["token"]}
    assert wire.get(ME).status_code == 200
    supernet.expire_access_tokens()
    assert error_of(wire.get(ME)) == (401, 101)
    assert post(wire, REFRESH, {"refreshToken": fresh["refreshToken"]}, headers={}).status_code == 200


def test_refresh_tokens_expire_and_can_be_revoked(wire: Wire, supernet: LocalSupernet) -> None:
    data = sign_in(wire)
    supernet.revoke_refresh_tokens()
    assert error_of(post(wire, REFRESH, {"refreshToken": data["refreshToken"]}, headers={})) == (401, 107)
    assert wire.get(ME).status_code == 200
    supernet.set_token_lifetimes(refresh=-1)
    data = sign_in(wire)
    assert error_of(post(wire, REFRESH, {"refreshToken": data["refreshToken"]}, headers={})) == (401, 107)


def test_the_lifetimes_are_options() -> None:
    with LocalSupernet(access_lifetime=30, refresh_lifetime=90) as short, Wire(short) as wire:
        data = sign_in(wire)
        access, refresh = claims(data["token"]), claims(data["refreshToken"])
        assert (access["exp"] - access["iat"], refresh["exp"] - refresh["iat"]) == (30, 90)


def test_a_refresh_can_be_scripted_to_fail(wire: Wire, supernet: LocalSupernet) -> None:
    body = {"refreshToken": sign_in(wire)["refreshToken"]}
    supernet.faults.http(REFRESH, body="<html>rubbish")
    supernet.faults.http(REFRESH, status=500)
    supernet.faults.http(REFRESH, hang=True)
    supernet.faults.http(REFRESH, disconnect=True)
    rubbish = post(wire, REFRESH, body, headers={})
    assert (rubbish.status_code, rubbish.text) == (200, "<html>rubbish")
    assert error_of(post(wire, REFRESH, body, headers={})) == (500, 0)
    with pytest.raises(requests.Timeout):
        requests.post(supernet.rest_endpoint + REFRESH, json=body, timeout=0.05)
    with pytest.raises(requests.ConnectionError):
        post(wire, REFRESH, body, headers={})
    assert post(wire, REFRESH, body, headers={}).status_code == 200


def test_the_answer_to_a_refresh_can_be_lost_after_the_tokens_were_replaced(
    wire: Wire, supernet: LocalSupernet
) -> None:
    body = {"refreshToken": sign_in(wire)["refreshToken"]}
    supernet.faults.http(REFRESH, truncate=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post(wire, REFRESH, body, headers={}).json()
    assert error_of(post(wire, REFRESH, body, headers={})) == (401, 107)


def test_signing_out_ends_tokens_and_cookie_of_that_session_only(wire: Wire) -> None:
    other = sign_in(wire)
    data = sign_in(wire)
    assert post(wire, "/v1/account/logout", {}).status_code == 200
    assert error_of(wire.get(ME)) == (401, 101)
    assert error_of(post(wire, REFRESH, {"refreshToken": data["refreshToken"]}, headers={})) == (401, 107)
    assert error_of(post(wire, "/v1/account/logout", {})) == (401, 101)
    wire.headers = {"Authorization": other["token"]}
    assert wire.get(ME).status_code == 200


def test_signing_out_leaves_an_api_key_alone(wire: Wire) -> None:
    assert post(wire, "/v1/account/logout", {}).status_code == 200
    assert wire.get(ME).status_code == 200


def test_a_cookie_is_a_session_on_both_hosts_and_the_socket(wire: Wire, supernet: LocalSupernet) -> None:
    reply = login(wire, Wallet("local-artist", "local password"), rememberMe=True)
    cookie = reply.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "Max-Age" in cookie
    wire.headers = {"Cookie": cookie.partition(";")[0]}
    assert wire.data(ME)["username"] == "local-artist"
    assert wire.get("/api/v1/models/list").status_code == 200
    wire.connect()
    assert wire.receive()[0] == "authenticated"
    out = post(wire, "/v1/account/logout", {})
    assert "Max-Age=0" in out.headers["Set-Cookie"]
    assert error_of(wire.get(ME)) == (401, 101)


def test_a_cookie_that_is_not_remembered_ends_with_the_program(wire: Wire) -> None:
    cookie = login(wire, Wallet("local-artist", "local password")).headers["Set-Cookie"]
    assert "Max-Age" not in cookie


def test_a_cookie_does_not_replace_an_invalid_token(wire: Wire) -> None:
    reply = login(wire, Wallet("local-artist", "local password"))
    cookie = reply.headers["Set-Cookie"].partition(";")[0]
    wire.headers = {"Cookie": cookie, "Authorization": "nonsense"}
    assert error_of(wire.get(ME)) == (401, 101)
    for header in ("sogni-session=wrong", "sogni-session", "a=b; ;;=", ""):
        wire.headers = {"Cookie": header}
        assert error_of(wire.get(ME)) == (401, 101)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_body_that_is_not_an_object_is_refused(wire: Wire, content: bytes) -> None:
    for path in ("/v1/account/nonce", "/v1/account/login", "/v1/account/create", REFRESH):
        reply = requests.post(
            wire.supernet.rest_endpoint + path,
            data=content,
            headers={"Content-Type": "application/json"},
            timeout=DEADLINE,
        )
        assert error_of(reply) == (400, 0)


def test_no_secret_is_recorded_or_shown(wire: Wire, supernet: LocalSupernet) -> None:
    data = sign_in(wire)
    created = create_body(wire, turnstileToken="captcha-answer")
    post(wire, "/v1/account/create", created, headers={})
    post(wire, REFRESH, {"refreshToken": data["refreshToken"]}, headers={})
    account = supernet.add_account("second", "secret words", api_key="second key")
    told = repr(supernet.requests) + repr(supernet.violations) + repr(account) + repr(supernet._accounts)
    for secret in (data["token"], data["refreshToken"], created["signature"], "captcha-answer", "secret words"):
        assert secret not in told
    assert "second key" not in told
    bodies = [it.body for it in supernet.requests if isinstance(it, RecordedRequest) and it.path.endswith("/create")]
    assert bodies[0]["username"] == "FactSheetUser"


def test_ending_all_sessions_leaves_keys_alone(wire: Wire, supernet: LocalSupernet) -> None:
    sign_in(wire)
    supernet.end_sessions()
    assert error_of(wire.get(ME)) == (401, 101)
    wire.headers = {"api-key": supernet.api_key}
    assert wire.get(ME).status_code == 200


def test_a_reset_forgets_other_accounts_and_sessions(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.add_account("second", "secret")
    sign_in(wire, "second", "secret")
    supernet.reset()
    assert supernet.accounts == [supernet.account]
    assert error_of(wire.get(ME)) == (401, 101)


def test_without_the_signing_library_keys_work_and_the_rest_names_the_extra(
    wire: Wire, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = login_body(wire, Wallet("local-artist", "local password"))
    monkeypatch.setitem(__import__("sys").modules, "eth_account", None)
    reply = post(wire, "/v1/account/login", body, headers={})
    assert error_of(reply) == (501, 0)
    assert "sogni[wallet]" in reply.json()["message"]
    with pytest.raises(ModuleNotFoundError, match=r"sogni\[wallet\]"):
        supernet.add_account("second", "secret")
    assert wire.get(ME).status_code == 200
