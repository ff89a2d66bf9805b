"""Choosing a proxy and certificates from settings and environment; a real CONNECT proxy."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
import pytest
import requests.utils

from sogni.core.connection.websocket import TEXT
from sogni.errors import SogniConnectionError
from sogni.local.proxies import Proxy, bypasses, ca_bundle_for, proxy_for, read_proxy, through
from sogni.transport.websocket import SerialSocket
from tests.tables import each_row
from tests.transport.websocket_peers import GUARD, Connection, ConnectProxy, serving

WSS, WS = "wss://socket.example.com/?q", "ws://socket.example.com:8080/"


@each_row(
    ("url", "proxy", "environ", "expected"),
    [
        (WSS, None, {}, None),
        (WSS, "http://own:1", {"HTTPS_PROXY": "http://env:2", "NO_PROXY": "*"}, "http://own:1"),
        (WSS, "own:1", {}, "http://own:1"),
        (WSS, None, {"HTTPS_PROXY": "http://env:2"}, "http://env:2"),
        (WSS, None, {"HTTPS_PROXY": "env:2"}, "http://env:2"),
        (WSS, None, {"HTTPS_PROXY": "http://env:2", "https_proxy": "http://small:3"}, "http://small:3"),
        (WSS, None, {"HTTPS_PROXY": "http://env:2", "https_proxy": ""}, None),
        (WSS, None, {"HTTP_PROXY": "http://env:2"}, None),
        (WS, None, {"HTTP_PROXY": "http://env:2", "HTTPS_PROXY": "http://other:2"}, "http://env:2"),
        (WS, None, {"HTTP_PROXY": "http://env:2", "REQUEST_METHOD": "GET"}, None),
        (WS, None, {"http_proxy": "http://env:2", "REQUEST_METHOD": "GET"}, "http://env:2"),
        (WSS, None, {"ALL_PROXY": "socks5://all:9"}, "socks5://all:9"),
        (WSS, None, {"ALL_PROXY": "http://all:9", "https_proxy": "http://env:2"}, "http://env:2"),
        (WSS, None, {"HTTPS_PROXY": "http://env:2", "NO_PROXY": "example.com"}, None),
        (WSS, None, {"HTTPS_PROXY": "http://env:2", "NO_PROXY": "elsewhere.com"}, "http://env:2"),
        ("https://api.example.com/v1", None, {"HTTPS_PROXY": "http://env:2"}, "http://env:2"),
        ("http://api.example.com/v1", None, {"http_proxy": "http://env:2"}, "http://env:2"),
        *[
            (f"{scheme}://{host}/v1", None, {variable: "http://env:2"}, None)
            for host in (
                "127.0.0.1:8",
                "127.9.9.9",
                "LOCALHOST:8",
                "localhost.",
                "a.localhost",
                "[::1]:8",
                "[::ffff:127.0.0.1]",
            )
            for scheme, variable in (("http", "HTTP_PROXY"), ("wss", "https_proxy"), ("ws", "ALL_PROXY"))
        ],
        ("http://127.0.0.1:8/", "http://own:1", {}, "http://own:1"),
        ("http://128.0.0.1/", None, {"HTTP_PROXY": "http://env:2"}, "http://env:2"),
        ("http://localhost.example.com/", None, {"HTTP_PROXY": "http://env:2"}, "http://env:2"),
    ],
)
def test_the_proxy_of_a_url(url: str, proxy: str | None, environ: dict[str, str], expected: str | None) -> None:
    assert proxy_for(url, proxy, environ) == expected


@each_row(
    ("url", "no_proxy", "expected"),
    [
        ("wss://socket.sogni.ai/", None, False),
        ("wss://socket.sogni.ai/", "", False),
        ("wss://socket.sogni.ai/", " , ,", False),
        ("wss://socket.sogni.ai/", "*", True),
        ("wss://socket.sogni.ai/", "a.com, sogni.ai", True),
        ("wss://socket.sogni.ai/", ".sogni.ai", True),
        ("wss://socket.sogni.ai/", "SOCKET.sogni.ai", True),
        ("wss://sogni.ai/", ".sogni.ai", True),
        ("wss://notsogni.ai/", "sogni.ai", False),
        ("wss://socket.sogni.ai:443/", "socket.sogni.ai:443", True),
        ("wss://socket.sogni.ai:443/", "socket.sogni.ai:80", False),
        ("ws://socket.sogni.ai:8080/", "sogni.ai:8080", True),
        ("ws://127.0.0.1:8080/", "127.0.0.1", True),
        ("ws://127.0.0.1:8080/", "127.0.0.1:8080", True),
        ("ws://10.1.2.3/", "10.0.0.0/8", True),
        ("ws://11.1.2.3/", "10.0.0.0/8", False),
        ("ws://[::1]:8080/", "::1", True),
        ("ws://[::1]:8080/", "[::1]", True),
        ("ws://[fd00::5]/", "fd00::/8", True),
        ("ws://localhost/", "127.0.0.1", False),
    ],
)
def test_hosts_exempt_from_the_proxy(url: str, no_proxy: str | None, expected: bool) -> None:
    assert bypasses(url, no_proxy) is expected


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"https_proxy": "http://env:2"},
        {"HTTPS_PROXY": "http://env:2", "https_proxy": ""},
        {"all_proxy": "http://env:2"},
        {"HTTP_PROXY": "http://env:2"},
        {"HTTP_PROXY": "http://env:2", "REQUEST_METHOD": "POST"},
        {"https_proxy": "http://env:2", "http_proxy": "http://env:3", "no_proxy": "example.com"},
        {"https_proxy": "http://env:2", "no_proxy": "api.example.com:443,10.0.0.0/8"},
        {"https_proxy": "http://env:2", "no_proxy": "*"},
        {"https_proxy": "http://env:2", "NO_PROXY": ".example.com"},
    ],
)
@pytest.mark.parametrize("url", ["https://api.example.com/", "http://api.example.com/", "https://10.2.3.4/"])
def test_the_environment_means_what_it_means_to_requests(
    url: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    theirs = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    assert proxy_for(url, None, os.environ) == theirs


def test_system_settings_come_last_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"https": "system:8"})
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda host: host == "local.example.com")
    assert proxy_for(WSS, None, os.environ) == "http://system:8"
    assert proxy_for(WS, None, os.environ) is None
    assert proxy_for("wss://local.example.com/", None, os.environ) is None
    assert proxy_for(WSS, None, {}) is None
    monkeypatch.setenv("https_proxy", "http://env:2")
    assert proxy_for(WSS, None, os.environ) == "http://env:2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy:3128", Proxy(scheme="http", host="proxy", port=3128)),
        ("proxy:3128", Proxy(scheme="http", host="proxy", port=3128)),
        ("http://proxy", Proxy(scheme="http", host="proxy", port=80)),
        ("socks5h://proxy", Proxy(scheme="socks5h", host="proxy", port=1080)),
        ("http://me@proxy:1", Proxy(scheme="http", host="proxy", port=1, username="me")),
        (
            "http://me%40work:p%3Ass@proxy:1",
            Proxy(scheme="http", host="proxy", port=1, username="me@work", password="p:ss"),
        ),
        ("http://[::1]:3128/", Proxy(scheme="http", host="::1", port=3128)),
    ],
)
def test_the_parts_of_a_proxy(text: str, expected: Proxy) -> None:
    assert read_proxy(text) == expected


@pytest.mark.parametrize("text", ["ftp://proxy:1", "http://", "http://u:hush@proxy:port", "gopher://u:hush@proxy"])
def test_a_proxy_that_is_none_is_named_without_its_password(text: str) -> None:
    with pytest.raises(SogniConnectionError, match="proxy") as caught:
        read_proxy(text)
    assert "hush" not in str(caught.value)


def test_a_proxy_is_named_by_host_and_port() -> None:
    assert [read_proxy(text).shown for text in ("http://u:hush@proxy", "http://[::1]:9")] == ["proxy:80", "[::1]:9"]
    assert through(WSS, "http://u:hush@proxy", {}) == " through the proxy proxy:80"
    assert through(WSS, None, {}) == ""


def test_a_proxy_shows_neither_name_nor_password() -> None:
    assert repr(read_proxy("http://me:hush@proxy:1")) == "Proxy(scheme='http', host='proxy', port=1)"


@each_row(
    ("setting", "environ", "expected"),
    [
        ("/own.pem", {"REQUESTS_CA_BUNDLE": "/r.pem"}, "/own.pem"),
        (None, {"REQUESTS_CA_BUNDLE": "/r.pem", "CURL_CA_BUNDLE": "/c.pem"}, "/r.pem"),
        (None, {"CURL_CA_BUNDLE": "/c.pem", "SSL_CERT_FILE": "/s.pem"}, "/c.pem"),
        (None, {"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": "/s.pem"}, "/s.pem"),
        (None, {"SSL_CERT_DIR": f"/nowhere{os.pathsep}{os.curdir}"}, os.curdir),
        (None, {"SSL_CERT_DIR": os.curdir, "SSL_CERT_FILE": "/s.pem"}, "/s.pem"),
        (None, {"SSL_CERT_DIR": "/nowhere"}, certifi.where()),
        (None, {}, certifi.where()),
        ("", {}, certifi.where()),
    ],
)
def test_the_authorities(setting: str | None, environ: dict[str, str], expected: str) -> None:
    assert ca_bundle_for(setting, environ) == expected


# -- a real proxy ------------------------------------------------------------------------------------------


def echo(peer: Connection) -> None:
    peer.upgrade(extra=b"\x81\x05hello")
    opcode, payload = peer.receive()
    peer.send(payload, opcode)
    peer.until_closed()


@contextmanager
def opened(url: str, proxy: str | None, no_proxy: str | None = None) -> Iterator[SerialSocket]:
    client = SerialSocket.connect(
        url, {"api-key": "k"}, timeout=GUARD, proxy=proxy, no_proxy=no_proxy, max_message_size=1000
    )
    try:
        yield client
    finally:
        client.shutdown()


def talk(client: SerialSocket) -> None:
    assert client.receive(GUARD) == [(TEXT, b"hello")]
    client.send_text("through", GUARD)
    assert client.receive(GUARD) == [(TEXT, b"through")]


def test_a_connection_goes_through_a_proxy() -> None:
    proxy = ConnectProxy()
    with serving(echo) as url, proxy.running() as address, opened(url, f"http://{address}") as client:
        talk(client)
    assert [f"ws://{target}/" for target in proxy.asked] == [url]


def test_a_proxy_gets_the_name_and_password_of_its_url() -> None:
    proxy = ConnectProxy("Basic bWVAd29yazpwOnNz")  # me@work:p:ss
    with (
        serving(echo) as url,
        proxy.running() as address,
        opened(url, f"http://me%40work:p%3Ass@{address}") as client,
    ):
        talk(client)


@pytest.mark.parametrize("login", ["", "me:hush@"])
def test_a_proxy_that_refuses_the_login_is_named(login: str) -> None:
    proxy = ConnectProxy("Basic other")
    with (
        serving(echo) as url,
        proxy.running() as address,
        pytest.raises(SogniConnectionError, match="407") as caught,
        opened(url, f"http://{login}{address}"),
    ):
        pass
    assert address in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_exempt_host_is_reached_directly() -> None:
    proxy = ConnectProxy()
    with (
        serving(echo) as url,
        proxy.running() as address,
        opened(url, f"http://{address}", no_proxy="127.0.0.0/8") as client,
    ):
        talk(client)
    assert proxy.asked == []


def test_the_environment_is_not_asked_once_the_way_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = ConnectProxy()
    with serving(echo) as url, proxy.running() as address:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        with opened(url, None) as client:
            talk(client)
        monkeypatch.setenv("no_proxy", "*")
        with opened(url, f"http://{address}") as client:
            talk(client)
    assert len(proxy.asked) == 1


def test_a_proxy_that_does_not_listen_is_named() -> None:
    with pytest.raises(SogniConnectionError, match=r"through the proxy 127\.0\.0\.1:9") as caught:
        SerialSocket.connect(
            "ws://socket.example.com/", {}, timeout=GUARD, proxy="http://127.0.0.1:9", max_message_size=1
        )
    assert "socket.example.com" in str(caught.value)


def test_a_socks_proxy_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SogniConnectionError, match="python-socks"), opened("ws://h/", "socks5://127.0.0.1:9"):
        pass


def test_a_proxy_spoken_to_over_tls_says_that_it_cannot_be() -> None:
    with (
        pytest.raises(SogniConnectionError, match="http:// URL"),
        opened("ws://h/", "https://127.0.0.1:9"),
    ):
        pass


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    (tmp_path / "wrong.pem").write_text("no certificate")
    for bundle in (missing, tmp_path / "wrong.pem"):
        with pytest.raises(SogniConnectionError, match=bundle.name):
            SerialSocket.connect("wss://127.0.0.1:9/", {}, timeout=GUARD, ca_bundle=str(bundle), max_message_size=1)
