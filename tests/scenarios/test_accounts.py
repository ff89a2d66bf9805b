"""Signing in, staying signed in, money and subscriptions, in both packages (account.md; transport §4.4, §5)."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet, Membership
from tests.scenarios.conftest import SOON, Sdk, until

PASSWORD = "a good password"
REFRESH = "/v1/account/refresh-token"
ME = "/v1/account/me"


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as running:
        running.add_account("ada", PASSWORD, spark=500, sogni=50)
        yield running


def asked(supernet: LocalSupernet, path: str) -> list[Any]:
    return [arrival for arrival in supernet.requests if getattr(arrival, "path", None) == path]


def client_of(sdk: Any, supernet: LocalSupernet, **options: Any) -> Any:
    return sdk.client(supernet, **{"api_key": None, "auth_type": "token", **options})


async def expired_pair(sdk: Any, supernet: LocalSupernet) -> Any:
    """A pair whose access token is over and that nobody uses; the next one lasts."""
    supernet.set_token_lifetimes(access=-1)
    async with sdk.client(supernet) as other:  # with a key, so that it keeps no tokens
        session = await sdk.call(other.account.login, "ada", PASSWORD)
    supernet.set_token_lifetimes(access=3600)
    return session.tokens


async def expired(sdk: Any, supernet: LocalSupernet, client: Any) -> Any:
    """Leave a client with an access token that is over by now, and return the pair."""
    pair = await expired_pair(sdk, supernet)
    # As if time had passed: signing in would begin to use the tokens at once.
    client._engine.changed(lambda state, _: state.session.credentials.use_tokens(pair.token, pair.refresh_token))
    return pair


async def test_signing_in_with_a_password_and_out_again(sdk: Any, supernet: LocalSupernet) -> None:
    told: list[bool] = []
    async with client_of(sdk, supernet) as client:
        client.api_client.auth.on("updated", told.append)
        session = await sdk.call(client.account.login, "ada", PASSWORD)
        assert (session.username, client.is_authenticated) == ("ada", True)
        assert (await sdk.call(client.account.me)).username == "ada"
        project = await sdk.create(client)
        await sdk.call(project.wait, timeout=SOON)
        assert client.current_account.wallet_address == session.wallet_address
        await sdk.call(client.account.logout)
        assert (client.is_authenticated, client.is_connected, client.current_account.username) == (False, False, None)
        with pytest.raises(sdk.AuthenticationError):
            await sdk.create(client)
    assert told == [True, False]


async def test_a_new_account_is_signed_in(sdk: Any, supernet: LocalSupernet) -> None:
    async with client_of(sdk, supernet, app_id="sign-up") as client:
        await sdk.call(
            client.account.create,
            username="grace",
            email="grace@example.test",
            password=PASSWORD,
            turnstile_token="captcha",
        )
        assert (await sdk.call(client.account.me)).current_email == "grace@example.test"
        taken = await sdk.call(client.account.validate_username, "grace")
        free = await sdk.call(client.account.validate_username, "nobody-yet")
        assert (taken.available, taken.error_code, free.available) == (False, 108, True)


@pytest.mark.parametrize(("username", "password"), [("ada", "wrong"), ("nobody", PASSWORD)])
async def test_a_wrong_password_keeps_nothing(sdk: Any, supernet: LocalSupernet, username: str, password: str) -> None:
    async with client_of(sdk, supernet) as client:
        with pytest.raises(sdk.AuthenticationError):
            await sdk.call(client.account.login, username, password)
        assert (client.is_authenticated, client.api_client.auth.backup()) == (False, None)


async def test_sixteen_at_once_refresh_an_expired_token_once(sdk: Any, supernet: LocalSupernet) -> None:
    async with client_of(sdk, supernet) as client:
        before = await expired(sdk, supernet, client)
        found = await asyncio.gather(*(sdk.call(client.account.account_balance) for _ in range(16)))
        assert {balance.spark.net for balance in found} == {Decimal(500)}
        assert len(asked(supernet, REFRESH)) == 1
        assert client.api_client.auth.backup() != before


async def test_the_socket_waits_for_a_fresh_token(sdk: Any, supernet: LocalSupernet) -> None:
    async with client_of(sdk, supernet) as client:
        await expired(sdk, supernet, client)
        await sdk.call(client.connect, timeout=SOON)
        assert (client.is_connected, len(asked(supernet, REFRESH))) == (True, 1)


async def test_a_refresh_goes_on_when_who_asked_for_it_leaves(supernet: LocalSupernet) -> None:
    """Otherwise the rotated pair would be lost, and with it the session."""
    sdk = Sdk("sogni_async")
    async with client_of(sdk, supernet) as client:
        await expired(sdk, supernet, client)
        supernet.faults.http(REFRESH, delay=0.3)
        asking = asyncio.create_task(client.account.account_balance())
        await until(lambda: asked(supernet, REFRESH))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await client.account.account_balance()).spark.net == 500
        assert len(asked(supernet, REFRESH)) == 1


async def test_a_revoked_refresh_token_ends_the_session_and_tells_who_waits(sdk: Any, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        project = await sdk.create(client)
        waiting = asyncio.create_task(sdk.call(project.wait, timeout=SOON))
        await expired(sdk, supernet, client)
        supernet.revoke_refresh_tokens()
        with pytest.raises(sdk.AuthenticationError):
            await sdk.call(client.account.account_balance)
        with pytest.raises(sdk.AuthenticationError):
            await waiting
        assert (client.is_authenticated, client.current_account.username) == (False, None)


async def test_a_401_in_the_middle_of_work_ends_the_session(sdk: Any, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        project = await sdk.create(client)
        waiting = asyncio.create_task(sdk.call(project.wait, timeout=SOON))
        supernet.expire_access_tokens()
        with pytest.raises(sdk.AuthenticationError):
            await sdk.call(client.account.account_balance)
        with pytest.raises(sdk.AuthenticationError):
            await waiting
        assert (client.is_authenticated, len(asked(supernet, REFRESH))) == (False, 0)


@pytest.mark.parametrize(
    ("fault", "error", "kept"),
    [
        ({"status": 200, "body": "rubbish"}, "ProtocolError", False),
        ({"status": 500, "body": "{}"}, "ServerError", False),
        ({"disconnect": True}, "SogniConnectionError", True),
    ],
)
async def test_what_a_failed_refresh_leaves(
    sdk: Any, supernet: LocalSupernet, fault: dict[str, Any], error: str, kept: bool
) -> None:
    """transport §5.1: a transport failure keeps the tokens, any other answer than a pair takes them away."""
    pair = await expired_pair(sdk, supernet)
    async with client_of(sdk, supernet) as client:
        supernet.faults.http(REFRESH, **fault)
        with pytest.raises(getattr(sdk, error)):
            await sdk.call(client.api_client.auth.authenticate, pair)
        assert client.is_authenticated is kept
        if kept:
            assert (await sdk.call(client.account.account_balance)).spark.net == 500


RESTORE = """
import asyncio, inspect, json, sys, importlib
package, rest, socket = sys.argv[1:4]
async def main():
    client = importlib.import_module(package).SogniClient(
        auth_type="token", rest_endpoint=rest, socket_endpoint=socket, disable_socket=True)
    async def call(function, *args):
        outcome = function(*args)
        return await outcome if inspect.isawaitable(outcome) else outcome
    auth = client.api_client.auth
    await call(auth.authenticate, json.load(sys.stdin))
    who = (await call(client.account.me)).username
    pair = auth.backup()
    await call(client.close)
    print(json.dumps([who, importlib.import_module(package).to_dict(pair)]))
asyncio.run(main())
"""


async def test_a_session_restored_in_a_new_process_hands_back_the_rotated_pair(
    sdk: Any, supernet: LocalSupernet
) -> None:
    pair = sdk.to_dict(await expired_pair(sdk, supernet))
    command = [sys.executable, "-c", RESTORE, sdk.name, supernet.rest_endpoint, supernet.socket_endpoint]
    ended = await asyncio.to_thread(
        subprocess.run, command, input=json.dumps(pair), capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    who, rotated = json.loads(ended.stdout)
    assert (who, rotated == pair, set(rotated)) == ("ada", False, {"token", "refreshToken"})
    async with client_of(sdk, supernet) as client:
        with pytest.raises(sdk.AuthenticationError):
            await sdk.call(client.set_tokens, None, pair["refreshToken"])
        await sdk.call(client.set_tokens, None, rotated["refreshToken"])
        assert client.current_account.username == "ada"


async def test_either_token_alone_continues_a_session(sdk: Any, supernet: LocalSupernet) -> None:
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        pair = client.api_client.auth.backup()
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.set_tokens, token=pair.token)
        assert (client.is_authenticated, client.current_account.username) == (True, "ada")
        assert client.api_client.auth.backup() is None
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.set_tokens, refresh_token=pair.refresh_token)
        assert (client.is_authenticated, client.current_account.username) == (True, "ada")
        assert client.api_client.auth.backup().refresh_token != pair.refresh_token


async def test_tokens_that_continue_no_session_say_why(sdk: Any, supernet: LocalSupernet) -> None:
    stale = (await expired_pair(sdk, supernet)).token
    async with client_of(sdk, supernet) as client:
        with pytest.raises(sdk.AuthenticationError, match="has expired and there is no refresh token"):
            await sdk.call(client.set_tokens, token=stale)
        for given in ({}, {"token": None}, {"token": "", "refresh_token": None}):
            with pytest.raises(sdk.ValidationError):
                await sdk.call(client.set_tokens, **given)
        for stored in ({"token": stale}, {"token": stale, "refreshToken": None}, {}):
            with pytest.raises(sdk.ValidationError):
                await sdk.call(client.api_client.auth.authenticate, stored)
        assert client.is_authenticated is False


async def test_a_closed_client_is_not_authenticated(sdk: Any, supernet: LocalSupernet) -> None:
    for options in ({"api_key": None, "auth_type": "token"}, {}):
        async with sdk.client(supernet, **options) as client:
            if options:
                await sdk.call(client.account.login, "ada", PASSWORD)
            else:
                await sdk.call(client.account.me)
            whose = (client, client.api_client.auth, client.current_account)
            assert [it.is_authenticated for it in whose] == [True, True, True]
        assert [it.is_authenticated for it in whose] == [False, False, False]


async def test_a_store_keeps_the_newest_pair_for_its_owner_only(
    sdk: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    store = sdk.TokenStore(tmp_path / "state" / "tokens.json")
    async with client_of(sdk, supernet) as client:
        store.follow(client)
        await expired(sdk, supernet, client)
        await sdk.call(client.account.account_balance)
        newest = client.api_client.auth.backup()
    assert store.load() == newest
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.api_client.auth.authenticate, store.load())
        store.follow(client)
        await sdk.call(client.account.logout)
    assert (store.load(), store.path.exists()) == (None, False)


async def test_cookies_keep_a_session(sdk: Any, supernet: LocalSupernet) -> None:
    async with client_of(sdk, supernet, auth_type="cookies") as client:
        assert await sdk.call(client.check_auth) is False
        await sdk.call(client.account.login, "ada", PASSWORD)
        assert await sdk.call(client.check_auth) is True
        await sdk.call(client.connect, timeout=SOON)
        found = await asyncio.gather(*(sdk.call(client.account.account_balance) for _ in range(4)))
        assert [balance.sogni.net for balance in found] == [50] * 4
        with pytest.raises(sdk.ValidationError):
            client.api_client.auth.backup()
        assert await sdk.call(client.account.logout) is None
        assert await sdk.call(client.check_auth) is False


async def test_money_moves_exactly_and_once(sdk: Any, supernet: LocalSupernet) -> None:
    ada = next(it for it in supernet.accounts if it.username == "ada")
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        await sdk.call(client.account.withdraw, PASSWORD, "1.000000000000000001")
        held = await sdk.call(client.account.wallet_balance, ada.wallet_address)
        assert held.sogni == Decimal("1.000000000000000001")
        for password, amount in (("wrong", 1), (PASSWORD, "1e-7"), (PASSWORD, 0), (PASSWORD, "")):
            with pytest.raises(sdk.ValidationError):
                await sdk.call(client.account.withdraw, password, amount)
        with pytest.raises(sdk.InsufficientBalanceError):
            await sdk.call(client.account.withdraw, PASSWORD, 10_000)
        assert len(asked(supernet, "/v2/account/token/withdraw")) == 1
        listed = await sdk.collect(client.account.transactions(limit=1))
        assert [entry.amount for entry in listed] == [Decimal("-1.0")]  # a number on the wire


async def test_what_a_key_may_not_do(sdk: Any, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        account, password = client.account, supernet.account.password
        for call, given in (
            (account.withdraw, (password, 1)),
            (account.create_subscription_checkout, ("unlimited", "monthly")),
            (account.create_subscription_portal_session, ()),
        ):
            with pytest.raises(sdk.PermissionDeniedError):
                await sdk.call(call, *given)
        for call, given in ((client.set_tokens, ("", "")), (client.check_auth, ())):
            with pytest.raises(sdk.ValidationError):
                await sdk.call(call, *given)
        assert client.is_authenticated


@pytest.mark.parametrize("fault", [{"disconnect": True}, {"delay": 1.5}])
async def test_what_moves_tokens_is_sent_once_when_its_answer_is_lost(
    sdk: Any, supernet: LocalSupernet, fault: dict[str, Any]
) -> None:
    moves = ("/v2/account/token/withdraw", "/v3/account/token/deposit", "/v3/account/reward/claim")
    approval = "/v1/contract/token/approve"
    timeouts = sdk.Timeouts(request=0.5) if "delay" in fault else None
    async with client_of(sdk, supernet, timeout=timeouts) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        (reward, *_) = [it.id for it in await sdk.call(client.account.rewards) if it.can_claim]
        for path in (*moves, approval):
            supernet.faults.http(path, **fault)
        for call, given in (
            (client.account.withdraw, (PASSWORD, 1)),
            (client.account.deposit, (PASSWORD, 1)),
            (client.account.claim_rewards, ([reward],)),
            (client.account.approve_token_usage, (PASSWORD, "account")),
        ):
            with pytest.raises((sdk.SogniConnectionError, sdk.SogniTimeoutError), match="may have been carried out"):
                await sdk.call(call, *given)
        assert [len(asked(supernet, path)) for path in (*moves, approval)] == [1] * 4


async def test_rewards_plans_and_places(sdk: Any, supernet: LocalSupernet) -> None:
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        offered = [reward for reward in await sdk.call(client.account.rewards) if reward.can_claim]
        await sdk.call(client.account.claim_rewards, [offered[0].id])
        balance = await sdk.call(client.account.refresh_balance)
        paid = getattr(balance, offered[0].token_type).net
        assert paid == {"spark": 500, "sogni": 50}[offered[0].token_type] + offered[0].amount
        assert {plan.term for plan in await sdk.call(client.account.get_subscription_plans)} == {"monthly", "annual"}
        assert (await sdk.call(client.account.refresh_subscription)).is_unlimited is False
        places = await sdk.call(client.stats.leaderboard, "jobCompleteArtist", "day")
        assert isinstance(places, list)


async def test_a_subscription_reaches_the_live_account(sdk: Any, supernet: LocalSupernet) -> None:
    ada = next(it for it in supernet.accounts if it.username == "ada")
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        await sdk.call(client.connect, timeout=SOON)
        page = await sdk.call(client.account.create_subscription_checkout, "unlimited", "monthly")
        assert page.url.startswith("http")
        supernet.set_subscription(Membership(tier="unlimited_pro", status="active"), account=ada)
        deadline = time.monotonic() + SOON
        while not client.current_account.is_unlimited and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert client.current_account.subscription.tier == "unlimited_pro"


def everything_of(error: BaseException | None) -> list[Any]:
    """What a tool that reports errors can find: the whole chain, with what the libraries keep in theirs."""
    if error is None:
        return []
    request = getattr(error, "request", None)
    known = [
        error,
        str(error),
        *error.args,
        vars(error),
        getattr(request, "headers", None),
        getattr(request, "body", None),
    ]
    return [*known, *everything_of(error.__cause__), *everything_of(error.__context__)]


async def test_no_secret_is_shown(
    sdk: Any, supernet: LocalSupernet, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[Any] = []
    async with client_of(sdk, supernet) as client:
        old = await expired(sdk, supernet, client)
        session = await sdk.call(client.account.login, "ada", PASSWORD)
        wallet = await sdk.call(client.account.get_wallet, "ada", PASSWORD)
        await sdk.call(client.connect, timeout=SOON)
        pair = client.api_client.auth.backup()
        shown += [client, client.api_client.auth, client.account, client.current_account, session, wallet, pair]
        shown.append(client._engine.state.session.credentials)
        supernet.faults.http("/v2/account/token/withdraw", disconnect=True)
        supernet.faults.http(REFRESH, status=403, body=json.dumps({"message": f"{old.refresh_token} is no good"}))
        for call, given in (
            (client.account.withdraw, (PASSWORD, 1)),
            (client.account.withdraw, ("wrong " + PASSWORD, 1)),
            (client.account.withdraw, (PASSWORD, 10_000)),
            (client.account.login, ("ada", "not " + PASSWORD)),
            (client.set_tokens, (pair.token[:-5], "no-token-" + pair.refresh_token[:20])),
            (client.set_tokens, (None, old.refresh_token)),
        ):
            with pytest.raises(sdk.SogniError) as caught:
                await sdk.call(call, *given)
            shown += [*everything_of(caught.value), pickle.dumps(caught.value)]
        for secret in (session, wallet, pair):
            with pytest.raises(TypeError):
                pickle.dumps(secret)
    text = "\n".join([caplog.text, *capsys.readouterr(), *map(repr, shown)])
    secrets = [PASSWORD, pair.token, pair.refresh_token, old.token, old.refresh_token, wallet.private_key[2:]]
    assert [secret for secret in secrets if secret in text] == []
    assert re.findall("0x[0-9a-fA-F]{64,}", text) == []  # keys and signatures


WITHOUT_WALLET = """
import asyncio, importlib, inspect, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "eth_account":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
package, rest, socket, key = sys.argv[1:5]
sdk = importlib.import_module(package)
async def main():
    async def call(function, *args):
        outcome = function(*args)
        return await outcome if inspect.isawaitable(outcome) else outcome
    with_key = sdk.SogniClient(api_key=key, rest_endpoint=rest, socket_endpoint=socket, disable_socket=True)
    print((await call(with_key.account.account_balance)).spark.net > 0)
    await call(with_key.close)
    client = sdk.SogniClient(auth_type="token", rest_endpoint=rest, socket_endpoint=socket, disable_socket=True)
    for name, given in (("login", ("ada", "pw")), ("create", ("ada", "a@b.c", "pw")), ("get_wallet", ("ada", "pw"))):
        try:
            await call(getattr(client.account, name), *given)
        except ImportError as error:
            print("sogni[wallet]" in str(error), error.name)
    await call(client.close)
asyncio.run(main())
"""


async def test_without_the_library_for_wallets_its_extra_is_named(sdk: Any, supernet: LocalSupernet) -> None:
    command = [sys.executable, "-c", WITHOUT_WALLET, sdk.name, supernet.rest_endpoint, supernet.socket_endpoint]
    ended = await asyncio.to_thread(
        subprocess.run, [*command, supernet.api_key], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.stderr, ended.stdout) == ("", "True\n" + "True eth_account\n" * 3)
    assert asked(supernet, "/v1/account/nonce") == []


async def test_what_needs_no_signature_loads_no_library_for_it(sdk: Any) -> None:
    code = f"import sys, {sdk.name} as sdk; sdk.SogniClient(auth_type='token').account; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert "eth_account" not in ended.stdout.split()
