"""One WebSocket in asyncio: TLS, proxies, refusals, and what its end is called."""

from __future__ import annotations

import asyncio
import base64
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from sogni.core.connection.state import Closed
from sogni.errors import AuthenticationError, ProtocolError, SogniConnectionError
from sogni.settings import Settings
from sogni_async.transport.http import Http
from sogni_async.transport.websocket import Socket
from tests.transport.websocket_peers import GUARD, Connection, ConnectProxy, frame, serving

KEY = {"api-key": "sogni-secret-key"}
APP, PASSWORD = "secret-app", "hunter2"
CLOSE, PING, PONG = 8, 9, 10


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Socket]:
    http = Http(Settings(**options), lambda: KEY)
    socket = None
    try:
        socket = await Socket.connect(http, url, KEY, 5.0)
        yield socket
    finally:
        if socket is not None:
            socket.drop()
        await http.close()


def echo(connection: Connection) -> None:
    connection.upgrade()
    opcode, payload = connection.receive()
    connection.send(payload, opcode)
    connection.until_closed()


async def test_a_text_goes_out_and_comes_back_over_tls(server_side: ssl.SSLContext, bundle: str) -> None:
    with serving(echo, tls=server_side, name="localhost") as url:
        async with opened(url, ca_bundle=bundle) as socket:
            await socket.send_text("grüße", 5)
            assert await socket.receive() == "grüße".encode()


async def test_an_unknown_authority_is_refused(server_side: ssl.SSLContext) -> None:
    with (
        serving(echo, tls=server_side, name="localhost") as url,
        pytest.raises(SogniConnectionError, match="certificate is not trusted"),
    ):
        async with opened(url):
            pass


@pytest.mark.parametrize("login", [None, "Basic " + base64.b64encode(b"me:pass").decode()])
async def test_tls_goes_through_a_proxy(server_side: ssl.SSLContext, bundle: str, login: str | None) -> None:
    proxy = ConnectProxy(login)
    with proxy.running() as address, serving(echo, tls=server_side, name="localhost") as url:
        through = f"http://me:pass@{address}" if login else f"http://{address}"
        async with opened(url, ca_bundle=bundle, proxy=through) as socket:
            await socket.send_text("hello", 5)
            assert await socket.receive() == b"hello"
    assert [target.partition(":")[0] for target in proxy.asked] == ["localhost"]


async def test_a_proxy_that_refuses_is_named_without_its_password(server_side: ssl.SSLContext, bundle: str) -> None:
    proxy = ConnectProxy("Basic nothing-fits")
    with (
        proxy.running() as address,
        serving(echo, tls=server_side, name="localhost") as url,
        pytest.raises(SogniConnectionError, match="HTTP 407") as caught,
    ):
        async with opened(f"{url}?appId={APP}", ca_bundle=bundle, proxy=f"http://me:{PASSWORD}@{address}"):
            pass
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert APP not in shown
    assert KEY["api-key"] not in shown


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", AuthenticationError, "HTTP 401"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", SogniConnectionError, "HTTP 503"),
        (b"nonsense\r\n\r\n", SogniConnectionError, "not a WebSocket upgrade"),
        (b"", SogniConnectionError, "closed the connection"),
    ],
)
async def test_a_refused_upgrade_says_why(answer: bytes, kind: type[Exception], words: str) -> None:
    def refuse(connection: Connection) -> None:
        connection.read_request()
        connection.sock.sendall(answer)

    with serving(refuse) as url, pytest.raises(kind, match=words):
        async with opened(url):
            pass


async def test_a_redirected_upgrade_is_not_followed() -> None:
    asked: list[bytes] = []

    def elsewhere(connection: Connection) -> None:
        asked.append(connection.read_request())

    with serving(elsewhere) as other:

        def redirect(connection: Connection) -> None:
            connection.read_request()
            target = other.replace("ws://", "http://").encode()
            connection.sock.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target + b"\r\n\r\n")

        with serving(redirect) as url, pytest.raises(SogniConnectionError, match="HTTP 302"):
            async with opened(url):
                pass
    assert asked == [] or asked == [b""]


async def test_pings_are_answered_and_pongs_are_a_sign_of_life() -> None:
    answers: list[tuple[int, bytes]] = []

    def peer(connection: Connection) -> None:
        connection.upgrade()
        connection.send(b"1", PING)
        answers.append(connection.receive())
        answers.append(connection.receive())
        connection.send(b"", PONG)
        connection.until_closed()

    with serving(peer) as url:
        async with opened(url) as socket:
            assert await socket.receive() is None
            await socket.send_ping()
            assert await socket.receive() is None
    assert answers == [(PONG, b"1"), (PING, b"")]


@pytest.mark.parametrize(
    ("payload", "closed"),
    [
        ((4021).to_bytes(2, "big") + b"no", Closed(4021, "no")),
        ((1001).to_bytes(2, "big"), Closed(1001)),
        (b"", Closed(1005)),
        ((4015).to_bytes(2, "big") + b"\xff", Closed(4015, "\N{REPLACEMENT CHARACTER}")),
        ((4021).to_bytes(2, "big") + b"\xe2\x82", Closed(4021, "\N{REPLACEMENT CHARACTER}")),
        *((code.to_bytes(2, "big") + b"odd", Closed(code, "odd")) for code in (0, 999, 1004, 1005, 1016, 65535)),
    ],
)
async def test_the_end_has_code_and_reason(payload: bytes, closed: Closed) -> None:
    def peer(connection: Connection) -> None:
        connection.upgrade()
        connection.send(b"last")
        connection.send(payload, CLOSE)
        connection.until_closed()

    with serving(peer) as url:
        async with opened(url) as socket:
            assert await socket.receive() == b"last"
            assert await socket.receive() == closed


async def test_messages_of_one_buffer_are_taken_together_in_order() -> None:
    texts = [b"%d" % number for number in range(7)]

    def peer(connection: Connection) -> None:
        frames = [*map(frame, texts[:5]), frame(b"", PING), *map(frame, texts[5:]), frame(b"\x03\xe9", CLOSE)]
        connection.upgrade()
        connection.sock.sendall(b"".join(frames))
        connection.until_closed()

    with serving(peer) as url:
        async with opened(url) as socket:
            assert await socket.receive() == b"0"
            assert socket.received(2) == [b"1", b"2"]
            assert await socket.receive() == b"3"
            assert socket.received(5) == [b"4"]
            assert socket.received(5) == []
            assert [await socket.receive() for _ in range(4)] == [None, b"5", b"6", Closed(1001)]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(frame(b"1", CLOSE), id="half a code"),
        pytest.param(frame(b"x" * 126, CLOSE), id="too long"),
        pytest.param(frame((4015).to_bytes(2, "big"), CLOSE, fin=False), id="fragmented"),
        pytest.param(frame((4015).to_bytes(2, "big"), CLOSE, mask=b"mask"), id="masked"),
        pytest.param(bytes([0xC8, 0]), id="reserved bits"),
        pytest.param(bytes([0x83, 0]), id="unknown kind"),
    ],
)
async def test_a_malformed_frame_is_a_protocol_error_after_what_came_before(raw: bytes) -> None:
    answers: list[tuple[int, bytes]] = []

    def peer(connection: Connection) -> None:
        connection.upgrade(frame(b"first"))
        connection.sock.sendall(frame(b"last") + raw + frame(b"never"))
        answers.append(connection.receive())
        connection.until_closed()

    with serving(peer) as url:
        async with opened(url) as socket:
            assert [await socket.receive(), await socket.receive()] == [b"first", b"last"]
            closed = await socket.receive()
            assert isinstance(closed, Closed)
            assert (closed.code, type(closed.cause)) == (1006, ProtocolError)
    assert answers == [(CLOSE, (1002).to_bytes(2, "big") + b"protocol error")]


async def test_bytes_that_are_no_utf_8_end_no_connection() -> None:
    def peer(connection: Connection) -> None:
        connection.upgrade()
        connection.send(b"\xed\xa0\x80")
        connection.send(b"last")
        connection.until_closed()

    with serving(peer) as url:
        async with opened(url) as socket:
            assert [await socket.receive(), await socket.receive()] == [b"\xed\xa0\x80", b"last"]


async def test_an_end_without_a_word_is_1006() -> None:
    with serving(lambda connection: connection.upgrade()) as url:
        async with opened(url) as socket:
            closed = await socket.receive()
            assert isinstance(closed, Closed)
            assert (closed.code, type(closed.cause)) == (1006, SogniConnectionError)
            with pytest.raises(SogniConnectionError):
                await socket.send_text("late", 1)


async def test_a_message_above_the_limit_is_a_protocol_error() -> None:
    def peer(connection: Connection) -> None:
        connection.upgrade()
        connection.sock.sendall(bytes([0x82, 127]) + (1 << 40).to_bytes(8, "big"))
        connection.until_closed()

    with serving(peer) as url:
        async with opened(url) as socket:
            closed = await socket.receive()
    assert isinstance(closed, Closed)
    assert isinstance(closed.cause, ProtocolError)


async def test_goodbye_sends_1000_waits_for_the_answer_and_is_said_once() -> None:
    frames: list[tuple[int, bytes]] = []

    def peer(connection: Connection) -> None:
        connection.upgrade()
        frames.append(connection.receive())
        connection.send((1000).to_bytes(2, "big"), CLOSE)
        try:
            while True:
                frames.append(connection.receive())
        except (EOFError, OSError):
            pass

    with serving(peer) as url:
        async with opened(url) as socket:
            waiting = asyncio.create_task(asyncio.wait_for(socket.receive(), 0.05))
            await asyncio.gather(waiting, return_exceptions=True)
            await socket.close_cleanly()
    assert frames == [(CLOSE, (1000).to_bytes(2, "big") + b"Client disconnected")]


async def test_goodbye_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sogni_async.transport.websocket.CLOSE_SECONDS", 0.05)

    def peer(connection: Connection) -> None:
        connection.upgrade()
        connection.until_closed()

    with serving(peer) as url:
        async with opened(url) as socket, asyncio.timeout(GUARD):
            await socket.close_cleanly()
