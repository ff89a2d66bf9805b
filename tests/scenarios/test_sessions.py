"""Sessions continue in another loop, in a forked child, and after a client has ended (transport §5)."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.forkserver import WITHOUT_FORK_WARNINGS, Process
from tests.scenarios.conftest import SOON, Sdk, until
from tests.scenarios.test_accounts import ME, PASSWORD, REFRESH, asked, client_of, expired, expired_pair

Forked = Callable[[str, Any], Awaitable[tuple[Any, Any]]]


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as running:
        running.add_account("ada", PASSWORD, spark=500, sogni=50)
        running.add_account("bob", PASSWORD, spark=7)
        yield running


# -- another loop ----------------------------------------------------------------


def loop_client(supernet: LocalSupernet, kind: str) -> Any:
    import sogni_async

    addresses = {"rest_endpoint": supernet.rest_endpoint, "socket_endpoint": supernet.socket_endpoint}
    return sogni_async.SogniClient(auth_type=kind, **addresses)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["token", "cookies"])
def test_who_signed_in_in_one_loop_is_signed_in_in_the_next(supernet: LocalSupernet, kind: str) -> None:
    client = loop_client(supernet, kind)
    asyncio.run(client.account.login("ada", PASSWORD))
    assert client.is_authenticated

    async def again() -> Any:
        async with client:
            await client.connect(timeout=SOON)
            return await client.account.me()

    assert asyncio.run(again()).username == "ada"


def test_a_pair_that_is_rotated_in_a_later_loop_reaches_the_store(supernet: LocalSupernet, tmp_path: Path) -> None:
    import sogni_async

    store = sogni_async.TokenStore(tmp_path / "tokens.json")
    client = loop_client(supernet, "token")
    store.follow(client)

    async def begin() -> Any:
        await client.account.validate_username("somebody")
        return await expired(Sdk("sogni_async"), supernet, client)

    before = asyncio.run(begin())

    async def again() -> None:
        async with client:
            await client.account.account_balance()

    asyncio.run(again())
    assert store.load() == client.api_client.auth.backup() != before


def test_who_signed_out_stays_signed_out_in_the_next_loop(supernet: LocalSupernet) -> None:
    client = loop_client(supernet, "token")

    async def come_and_go() -> None:
        await client.account.login("ada", PASSWORD)
        await client.account.logout()

    asyncio.run(come_and_go())
    assert (client.is_authenticated, client.api_client.auth.backup()) == (False, None)


# -- a forked child ----------------------------------------------------------------

FORK = """
    import asyncio, importlib, inspect, json, os, sys
    package, rest, socket, kind = sys.argv[1:5]
    sdk = importlib.import_module(package)
    client = sdk.SogniClient(auth_type=kind, rest_endpoint=rest, socket_endpoint=socket, disable_socket=True)
    def call(function, *args):
        async def awaited():
            return await outcome
        outcome = function(*args)
        return asyncio.run(awaited()) if inspect.isawaitable(outcome) else outcome
    def look():
        try:
            who = call(client.account.me).username
        except sdk.SogniError as error:
            who = f"{type(error).__name__}: {error}"
        return [who, client.is_authenticated, kind == "token" and client.api_client.auth.backup() is not None]
    given = json.load(sys.stdin)
    if isinstance(given, str):
        call(client.account.login, "ada", given)
    else:
        pair = given["token"], given["refreshToken"]
        client._engine.changed(lambda state, _: state.session.credentials.use_tokens(*pair))
    told = []
    client.api_client.auth.on("updated", told.append)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        told.clear()  # what was told while signing in
        os.write(write, json.dumps([*look(), told]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    print(json.dumps([json.loads(os.read(read, 65536)), look()]), flush=True)
    call(client.close)
"""


@pytest.fixture
def forked(sdk: Any, supernet: LocalSupernet, start_process: Callable[..., Process], tmp_path: Path) -> Forked:
    """What a child and then its parent see, signed in with a password or a pair of tokens."""

    async def run(kind: str, given: Any) -> tuple[Any, Any]:
        # 3.12 warns of any fork in a process with threads; whether that is wise is the caller's to decide.
        code = WITHOUT_FORK_WARNINGS + textwrap.dedent(FORK)
        places = supernet.rest_endpoint, supernet.socket_endpoint
        process = start_process(code, sdk.name, *places, kind, cwd=tmp_path, env={})
        stdout, stderr = await asyncio.to_thread(process.communicate, json.dumps(given))
        assert (process.returncode, stderr) == (0, "")
        child, parent = json.loads(stdout)
        return child, parent

    return run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("kind", ["token", "cookies"])
async def test_a_forked_child_is_signed_in_and_the_pair_stays_with_the_parent(forked: Forked, kind: str) -> None:
    child, parent = await forked(kind, PASSWORD)
    assert (child, parent) == (["ada", True, False, []], ["ada", True, kind == "token"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
async def test_a_child_does_not_use_up_the_refresh_token_of_its_parent(
    sdk: Any, supernet: LocalSupernet, forked: Forked
) -> None:
    child, parent = await forked("token", sdk.to_dict(await expired_pair(sdk, supernet)))
    assert child[0].startswith("AuthenticationError: ")
    assert "stays with the parent process" in child[0]
    assert (child[1:], parent) == ([False, False, []], ["ada", True, True])
    assert len(asked(supernet, REFRESH)) == 1


# -- the end of a client -----------------------------------------------------------


async def test_a_pair_that_arrives_while_a_client_closes_is_kept(sdk: Any, supernet: LocalSupernet) -> None:
    """The service has rotated it already: without it the session would be lost."""
    client = client_of(sdk, supernet)
    async with client as opened:
        before = await expired(sdk, supernet, opened)
        supernet.faults.http(REFRESH, delay=0.3)
        asking = asyncio.create_task(sdk.call(opened.account.account_balance))
        await until(lambda: asked(supernet, REFRESH))
    with pytest.raises(sdk.ClientClosedError):
        await asking
    assert opened.api_client.auth.backup() not in (None, before)


# -- somebody else -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["token", "cookies"])
async def test_somebody_else_gets_a_socket_of_their_own(sdk: Any, supernet: LocalSupernet, kind: str) -> None:
    supernet.pause_workers()
    async with client_of(sdk, supernet, auth_type=kind) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        project = await sdk.create(client)
        waiting = asyncio.create_task(sdk.call(project.wait, timeout=SOON))
        await sdk.call(client.account.login, "bob", PASSWORD)
        with pytest.raises(sdk.SogniConnectionError):
            await waiting
        await sdk.call(client.connect, timeout=SOON)
        await until(lambda: client.current_account.balance.spark.net == 7)
        assert client.current_account.username == "bob"


@pytest.mark.parametrize("given", ["expired", "missing"])
async def test_a_pair_that_is_to_be_exchanged_first_is_somebody_elses_too(
    sdk: Any, supernet: LocalSupernet, given: str
) -> None:
    """Otherwise what is asked for next would be charged to who was signed in before."""
    supernet.set_token_lifetimes(access=-1)
    async with sdk.client(supernet) as other:  # with a key, so that it does not use the tokens
        bobs = (await sdk.call(other.account.login, "bob", PASSWORD)).tokens
    supernet.set_token_lifetimes(access=3600)
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        await sdk.call(client.connect, timeout=SOON)
        await until(lambda: client.current_account.balance.spark.net == 500)
        await sdk.call(client.set_tokens, bobs.token if given == "expired" else None, bobs.refresh_token)
        account = client.current_account
        assert (client.is_connected, account.username, account.balance.spark.net) == (False, "bob", 0)
        project = await sdk.create(client, token_type="spark")
        await sdk.call(project.wait, timeout=SOON)
        paid = {it.username: it.balance.spark for it in supernet.accounts if it.username in ("ada", "bob")}
        assert (paid["ada"], paid["bob"] < 7) == (500, True)


async def test_another_key_gets_a_socket_of_its_own(sdk: Any, supernet: LocalSupernet) -> None:
    supernet.add_account("eve", PASSWORD, api_key="the key of eve", spark=3)
    async with sdk.client(supernet) as client:
        await sdk.call(client.connect, timeout=SOON)
        await sdk.call(client.api_client.auth.authenticate, "the key of eve")
        await until(lambda: client.current_account.username == "eve")
        assert not client.is_connected
        await sdk.call(client.connect, timeout=SOON)
        await until(lambda: client.current_account.balance.spark.net == 3)


async def test_a_restored_session_knows_whose_it_is(sdk: Any, supernet: LocalSupernet) -> None:
    """Whether its access token lasted or had to be exchanged first."""
    pair = await expired_pair(sdk, supernet)
    async with client_of(sdk, supernet, disable_socket=True) as client:
        await sdk.call(client.api_client.auth.authenticate, pair)
        await until(lambda: client.current_account.username == "ada")


async def test_the_account_is_connecting_until_it_is_connected(sdk: Any, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        account, seen = client.current_account, []
        account.on("updated", lambda names: seen.append("network_status" in names))
        supernet.faults.refuse_upgrade(status=503)
        connecting = asyncio.create_task(sdk.call(client.connect, timeout=SOON))
        await until(lambda: (account.network_status, account.network) == ("connecting", "fast"))
        await connecting
        assert (account.network_status, client.is_connected) == ("connected", True)
    await until(lambda: seen.count(True) >= 3)


# -- a session that is over --------------------------------------------------------


async def test_who_signs_in_again_is_not_told_of_the_session_before(sdk: Any, supernet: LocalSupernet) -> None:
    async with client_of(sdk, supernet) as client:
        await expired(sdk, supernet, client)
        supernet.revoke_refresh_tokens()
        told: list[bool] = []
        client.api_client.auth.on("updated", told.append)
        session = await sdk.call(client.account.login, "ada", PASSWORD)
        assert (session.username, client.is_authenticated) == ("ada", True)
        await until(lambda: told == [False, True])


@pytest.mark.parametrize("kind", ["token", "api_key"])
async def test_a_wrong_password_does_not_disturb_who_is_signed_in(sdk: Any, supernet: LocalSupernet, kind: str) -> None:
    """As in a service that lets its users sign in and works with a key of its own."""
    options = {"api_key": None, "auth_type": "token"} if kind == "token" else {}
    async with sdk.client(supernet, **options) as client:
        if kind == "token":
            await sdk.call(client.account.login, "ada", PASSWORD)
        project = await sdk.create(client)
        with pytest.raises(sdk.AuthenticationError, match="password"):
            await sdk.call(client.account.login, "bob", "not " + PASSWORD)
        await sdk.call(project.wait, timeout=SOON)
        assert (client.is_authenticated, client.is_connected) == (True, True)


async def test_a_refusal_that_quotes_the_key_does_not_show_it(sdk: Any, supernet: LocalSupernet) -> None:
    key = supernet.api_key
    async with sdk.client(supernet) as client:
        supernet.faults.http(
            ME, status=403, body=json.dumps({"message": f"no {key}", "details": {"key": key}}), times=9
        )
        with pytest.raises(sdk.PermissionDeniedError) as caught:
            await sdk.call(client.account.me)
        error = caught.value
        shown = [str(error), repr(vars(error)), pickle.dumps(error).decode("latin-1")]
        assert [text for text in shown if key in text] == []


# -- what is no credential -----------------------------------------------------------


async def test_tokens_from_a_file_may_end_with_a_line_break(sdk: Any, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as other:
        pair = (await sdk.call(other.account.login, "ada", PASSWORD)).tokens
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.set_tokens, f"{pair.token}\n", f"{pair.refresh_token}\n")
        assert client.current_account.username == "ada"


async def test_credentials_that_cannot_be_sent_are_refused_at_once_and_not_shown(
    sdk: Any, supernet: LocalSupernet
) -> None:
    """The libraries underneath quote a header that they refuse."""
    pair = await expired_pair(sdk, supernet)
    shown = []
    async with client_of(sdk, supernet) as client:
        for token, refresh_token in (
            (f"secret\r\nx: {pair.token}", pair.refresh_token),
            (None, f"secret€{pair.refresh_token}"),
        ):
            with pytest.raises(sdk.ValidationError) as caught:
                await sdk.call(client.set_tokens, token, refresh_token)
            shown.append(f"{caught.value} {vars(caught.value)}")
    for key in ("secret\r\nx: y", "secret€"):
        with pytest.raises(sdk.ValidationError) as caught:
            sdk.SogniClient(api_key=key)
        shown.append(f"{caught.value} {vars(caught.value)}")
    assert [text for text in shown if "secret" in text] == []


# -- whoever waits -----------------------------------------------------------------


@pytest.mark.parametrize("app_id", ["the same", "another"])
async def test_whoever_waits_for_a_project_is_told_when_the_session_is_over(
    sdk: Any, supernet: LocalSupernet, app_id: str
) -> None:
    """A project of another app id is asked after instead of heard of."""
    supernet.pause_workers()
    async with client_of(sdk, supernet, app_id="the same") as one, client_of(sdk, supernet, app_id=app_id) as two:
        await sdk.call(one.account.login, "ada", PASSWORD)
        await sdk.call(two.account.login, "ada", PASSWORD)
        project = await sdk.create(one)
        if app_id == "the same":
            waiting = project
        else:
            waiting = await sdk.call(two.projects.attach, project.id)
            assert not two.is_connected
        client = one if app_id == "the same" else two
        tasks = [
            asyncio.create_task(sdk.call(waiting.wait, timeout=SOON)),
            asyncio.create_task(sdk.collect(waiting.events(timeout=SOON))),
            asyncio.create_task(sdk.call(sdk.wait, [waiting], timeout=SOON)),
        ]
        supernet.expire_access_tokens()
        with pytest.raises(sdk.AuthenticationError):
            await sdk.call(client.account.account_balance)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in ended] == [sdk.AuthenticationError] * 3


@pytest.mark.parametrize("way", ["wait", "events", "sogni.wait", "as_completed"])
async def test_every_way_of_waiting_opens_the_socket_it_needs(sdk: Any, supernet: LocalSupernet, way: str) -> None:
    """Nothing else opens it after signing out and in again."""
    supernet.pause_workers()
    async with client_of(sdk, supernet) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        project = await sdk.create(client)
        await sdk.call(client.account.logout)
        await sdk.call(client.account.login, "ada", PASSWORD)
        assert not client.is_connected
        waits = {
            "wait": lambda: sdk.call(project.wait, timeout=SOON),
            "events": lambda: sdk.collect(project.events(timeout=SOON)),
            "sogni.wait": lambda: sdk.call(sdk.wait, [project], timeout=SOON),
            "as_completed": lambda: sdk.collect(sdk.as_completed([project], timeout=SOON)),
        }
        waiting = asyncio.create_task(waits[way]())
        await until(lambda: client.is_connected)
        supernet.resume_workers()
        await waiting
        assert project.status == "completed"
