"""Objects of an open client cannot be copied, because closing a copy would close the original. Settings can."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk

DUPLICATES: dict[str, Callable[[Any], Any]] = {"pickle": pickle.dumps, "copy": copy.copy, "deepcopy": copy.deepcopy}
MESSAGES = [{"role": "user", "content": "Hello"}]


async def test_a_client_pickles_as_its_settings(
    sdk: Sdk, client: Any, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sdk.call(client.connect, timeout=SOON)
    monkeypatch.setenv("SOGNI_APP_ID", "of the environment")
    copied = pickle.loads(pickle.dumps(client))
    assert (type(copied), copied.is_connected, copied.app_id, client.is_connected) == (type(client), False, None, True)
    assert (await sdk.call(copied.account.me)).username == supernet.account.username
    await sdk.call(copied.connect, timeout=SOON)
    assert (copied.app_id != client.app_id, client.is_connected) == (True, True)
    await sdk.call(copied.account.switch_network, "relaxed")
    await sdk.call(copied.close)
    again = pickle.loads(pickle.dumps(copied))
    await sdk.call(again.connect, timeout=SOON)
    assert (again.closed, again.current_account.network) == (False, "relaxed")
    await sdk.call(again.close)


async def test_a_pickle_contains_no_key_of_the_environment(
    sdk: Sdk, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOGNI_API_KEY", supernet.api_key)
    async with sdk.client(supernet, api_key=None) as client:
        pickled = pickle.dumps(client)
        assert supernet.api_key.encode() not in pickled
        copied = pickle.loads(pickled)
        assert (await sdk.call(copied.account.me)).username == supernet.account.username
        await sdk.call(copied.close)
    async with sdk.client(supernet) as client:
        assert supernet.api_key not in repr(client.__reduce_ex__(5))
    monkeypatch.delenv("SOGNI_API_KEY")
    with pytest.raises(sdk.ValidationError, match="SOGNI_API_KEY"):
        pickle.loads(pickled)


@pytest.mark.parametrize("duplicate", ["copy", "deepcopy"])
async def test_a_client_is_not_copied_and_stays_open(sdk: Sdk, client: Any, duplicate: str) -> None:
    await sdk.call(client.connect, timeout=SOON)
    with pytest.raises(TypeError, match=r"SogniClient objects cannot be copied.*with the same arguments"):
        DUPLICATES[duplicate](client)
    with pytest.raises(TypeError, match="pickle the client"):
        pickle.dumps(client.with_options(timeout=5))
    assert (client.closed, client.is_connected) == (False, True)


@pytest.mark.parametrize("duplicate", ["pickle", "deepcopy"])
async def test_what_refers_to_a_client_is_not_duplicated(sdk: Sdk, client: Any, duplicate: str) -> None:
    rooms = ("projects", "account", "chat", "workflows", "replay", "stats", "current_account", "api_client")
    for name in rooms:
        with pytest.raises(TypeError, match="SogniClient namespace objects cannot be pickled or copied"):
            DUPLICATES[duplicate](getattr(client, name))


@pytest.mark.parametrize("duplicate", DUPLICATES)
async def test_open_streams_are_not_duplicated(sdk: Sdk, client: Any, duplicate: str) -> None:
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=SOON)
    file = await sdk.call(project.jobs[0].open)
    stream = await sdk.call(client.chat.completions.create, messages=MESSAGES, stream=True)
    run = await sdk.call(client.chat.runs.create, messages=MESSAGES)
    events = client.chat.runs.stream_events(run.run_id)
    for live in (file, stream, events):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            DUPLICATES[duplicate](live)
    assert len(await sdk.call(file.read)) > 100
    assert (await sdk.call(stream.result, timeout=SOON)).content
    assert (await sdk.collect(events))[-1].type == "run_completed"
    await sdk.call(file.close)
    await sdk.call(events.close)


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_an_emulator_is_not_duplicated(supernet: LocalSupernet, duplicate: str) -> None:
    with pytest.raises(TypeError, match="LocalSupernet objects cannot be pickled or copied"):
        DUPLICATES[duplicate](supernet)
    assert not supernet.closed
