"""Address of the WebSocket upgrade (transport §6)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from sogni.core.connection.state import CLIENT_NAME, handshake_url
from sogni.settings import VERSION, Settings


def url_of(network: str = "fast", subscriptions: Any = None, **settings: Any) -> str:
    made = Settings(socket_endpoint="wss://socket.sogni.ai", **settings)
    return handshake_url(made, app_id="ACME-DESK-01", network=network, subscriptions=subscriptions or {})


def query_of(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def test_the_example_of_the_sheet() -> None:
    url = url_of(app_source="acme-desk", subscriptions={"modelAvailability": False})
    assert query_of(url) == [
        ("appId", "ACME-DESK-01"),
        ("appSource", "acme-desk"),
        ("socketEventSubscriptions", '{"modelAvailability":false}'),
        ("clientName", CLIENT_NAME),
        ("clientType", "artist"),
        ("forceWorkerId", "fast"),
    ]
    assert urlsplit(url)[:3] == ("wss", "socket.sogni.ai", "/")


def test_what_is_not_set_is_left_out() -> None:
    assert [name for name, _ in query_of(url_of())] == ["appId", "clientName", "clientType", "forceWorkerId"]


@pytest.mark.parametrize(("network", "expected"), [("fast", "fast"), ("relaxed", ""), ("other", "")])
def test_the_network_is_sent_even_when_it_is_empty(network: str, expected: str) -> None:
    assert ("forceWorkerId", expected) == query_of(url_of(network))[-1]


def test_the_encoding_is_that_of_forms() -> None:
    assert f"clientName=Sogni%2F3.0.0+%28sogni-python%29+{VERSION}&" in url_of()


def test_path_and_query_of_the_endpoint_are_kept() -> None:
    made = Settings(socket_endpoint="http://h:1/base?x=1")
    url = handshake_url(made, app_id="A", network="fast", subscriptions={})
    assert url.startswith("ws://h:1/base?x=1&appId=A&")
