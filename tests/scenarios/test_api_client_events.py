"""Listening at the escape hatch: events of the connection, and frames as the service sent them (transport §9, §10)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, until


async def test_events_of_the_connection_reach_the_api_client(sdk: Sdk, supernet: LocalSupernet) -> None:
    heard: list[Any] = []
    async with sdk.client(supernet) as client:
        for event in ("connected", "reconnecting", "disconnected"):
            client.api_client.on(event, heard.append)
        await sdk.call(client.connect, timeout=SOON)
        await until(lambda: len(heard) == 1)
        supernet.drop_connections()
        await until(lambda: len(heard) == 3)
    await until(lambda: len(heard) == 4)
    names = [type(event).__name__ for event in heard]
    assert names == ["Connected", "Reconnecting", "Connected", "Disconnected"]
    assert [heard[0].network, heard[3].code] == ["fast", 1000]


async def test_frames_reach_the_api_client_and_its_socket_as_they_are(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        heard: list[tuple[str, str]] = []

        def note(where: str) -> Any:
            return lambda payload: heard.append((where, payload["username"]))

        client.api_client.on("authenticated", note("on"))
        client.api_client.once("authenticated", note("once"))
        client.api_client.socket.on("authenticated", note("socket"))
        client.api_client.socket.once("authenticated", note("socket, once"))
        removed = note("removed")
        client.api_client.on("authenticated", removed)
        client.api_client.off("authenticated", removed)
        client.api_client.socket.on("authenticated", removed)
        client.api_client.socket.off("authenticated", removed)
        client.api_client.on("authenticated")(note("decorated"))
        client.api_client.on("authenticated", note("taken back"))()
        await sdk.call(client.connect, timeout=SOON)
        await until(lambda: len(heard) == 5)
        supernet.drop_connections()
        await until(lambda: len(heard) == 8)
    name = supernet.account.username
    always = ["on", "socket", "decorated"]
    assert heard == [(where, name) for where in ["on", "once", "socket", "socket, once", "decorated", *always]]


@pytest.mark.parametrize("event", ["conected", "jobprogress", "job_progress", "toast_message", "", 3])
@pytest.mark.parametrize("method", ["on", "once", "off"])
async def test_a_name_that_is_no_event_is_refused(sdk: Sdk, method: str, event: Any) -> None:
    client = sdk.SogniClient(api_key="key")
    with pytest.raises(ValueError, match=r"ApiClient has no event .*connected.*jobProgress"):
        getattr(client.api_client, method)(event, print)
    client.api_client.socket.on("aFrameOfANewerService", print)
