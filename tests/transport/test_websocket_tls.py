"""The same over TLS, where one socket call at a time is the law; certificates, proxies, and a long stress.

SOGNI_STRESS_SECONDS sets the length of the stress (5).
"""

from __future__ import annotations

import os
import random
import select
import shutil
import socket
import ssl
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import trustme

from sogni.core.connection.websocket import PING, PONG, TEXT
from sogni.errors import SogniConnectionError, SogniTimeoutError
from sogni.transport.websocket import ConnectionLost, SerialSocket
from tests.transport.websocket_peers import GUARD, ClientFrames, Connection, ConnectProxy, frame, serving

STRESS_SECONDS = float(os.environ.get("SOGNI_STRESS_SECONDS", "5"))
SENDERS = 4


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


@contextmanager
def opened(url: str, bundle: str | None, **options: Any) -> Iterator[SerialSocket]:
    client = SerialSocket.connect(
        url, {"api-key": "k"}, timeout=GUARD, ca_bundle=bundle, max_message_size=1 << 26, **options
    )
    try:
        yield client
    finally:
        client.shutdown()


def echo(peer: Connection) -> None:
    peer.upgrade(extra=frame(b"hello") + frame(b"at once"))
    with suppress(EOFError):
        while True:
            opcode, payload = peer.receive()
            peer.send(payload, PONG if opcode == PING else opcode)


# -- certificates ------------------------------------------------------------------------------------------


def test_a_bundle_of_ones_own_is_accepted_and_bytes_with_the_upgrade_arrive(
    server_side: ssl.SSLContext, bundle: str
) -> None:
    with serving(echo, tls=server_side, name="localhost") as url, opened(url, bundle) as client:
        assert client.receive(GUARD) == [(TEXT, b"hello"), (TEXT, b"at once")]
        for size in (0, 16383, 16384, 16385, 1 << 21):
            client.send_text(b"x" * size, GUARD)
            found: list[tuple[int, bytes]] = []
            while not found:
                found = client.receive(GUARD)
            assert found == [(TEXT, b"x" * size)]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to name the file as it wants it")
def test_a_directory_of_authorities_is_accepted(server_side: ssl.SSLContext, bundle: str, tmp_path: Path) -> None:
    command = ["openssl", "x509", "-hash", "-noout", "-in", bundle]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(bundle, tmp_path / f"{name}.0")
    with serving(echo, tls=server_side, name="localhost") as url, opened(url, str(tmp_path)) as client:
        assert client.receive(GUARD)[0] == (TEXT, b"hello")


def test_a_certificate_of_another_authority_is_refused(server_side: ssl.SSLContext) -> None:
    with serving(echo, tls=server_side, name="localhost") as url:
        with pytest.raises(SogniConnectionError, match="not trusted") as caught, opened(url, None):
            pass
        assert "localhost" in str(caught.value)


def test_a_certificate_for_another_name_is_refused(server_side: ssl.SSLContext, bundle: str) -> None:
    with (
        serving(echo, tls=server_side, name="127.0.0.1") as url,
        pytest.raises(SogniConnectionError, match="not trusted"),
        opened(url, bundle),
    ):
        pass


def test_a_server_without_tls_is_a_connection_error(bundle: str) -> None:
    def handle(peer: Connection) -> None:
        peer.sock.recv(1)
        peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with (
        serving(handle, name="localhost") as url,
        pytest.raises(SogniConnectionError, match="localhost"),
        opened(url.replace("ws:", "wss:"), bundle),
    ):
        pass


@pytest.mark.parametrize("authorization", [None, "Basic dTpw"])
def test_tls_goes_through_a_proxy(authorization: str | None, server_side: ssl.SSLContext, bundle: str) -> None:
    proxy = ConnectProxy(authorization)
    with (
        serving(echo, tls=server_side, name="localhost") as url,
        proxy.running() as address,
        opened(url, bundle, proxy=f"http://u:p@{address}") as client,
    ):
        assert client.receive(GUARD) == [(TEXT, b"hello"), (TEXT, b"at once")]
        client.send_text("through", GUARD)
        assert client.receive(GUARD) == [(TEXT, b"through")]
    assert [f"wss://{target}/" for target in proxy.asked] == [url]


# -- waiting and ending ------------------------------------------------------------------------------------


def test_what_tls_holds_is_read_before_waiting(server_side: ssl.SSLContext, bundle: str) -> None:
    """One record with many frames: what is left of it is in the session, where no selector sees it."""

    def handle(peer: Connection) -> None:
        peer.upgrade()
        peer.receive()
        peer.sock.sendall(b"".join(frame(b"%d" % number) for number in range(4000)))
        peer.until_closed()

    with serving(handle, tls=server_side, name="localhost") as url, opened(url, bundle) as client:
        client.send_text("go", GUARD)
        found: list[Any] = []
        while len(found) < 4000:
            found += client.receive(None)
        assert found == [(TEXT, b"%d" % number) for number in range(4000)]


def test_a_write_that_is_not_taken_ends_at_its_deadline(server_side: ssl.SSLContext, bundle: str) -> None:
    done = threading.Event()

    def handle(peer: Connection) -> None:
        peer.upgrade()
        assert done.wait(GUARD)

    with serving(handle, tls=server_side, name="localhost") as url, opened(url, bundle) as client:
        with pytest.raises(SogniTimeoutError):
            client.send_text(b"z" * (1 << 26), 0.1)
        with pytest.raises(ConnectionLost):
            client.send_text("after half a record", GUARD)
        with pytest.raises(ConnectionLost):
            client.receive(GUARD)
        done.set()


def test_shutdown_sends_no_goodbye_and_does_not_wait(server_side: ssl.SSLContext, bundle: str) -> None:
    ready = threading.Event()

    def handle(peer: Connection) -> None:
        peer.upgrade()
        assert ready.wait(GUARD)

    with serving(handle, tls=server_side, name="localhost") as url, opened(url, bundle) as client:
        with ThreadPoolExecutor(1) as pool:
            stuck = pool.submit(client.send_text, b"z" * (1 << 26), GUARD)
            while not client._send_lock.locked():
                pass
            began = monotonic()
            client.shutdown()
            with pytest.raises(ConnectionLost):
                stuck.result(GUARD)
            assert monotonic() - began < GUARD / 2
        ready.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_says_no_goodbye_on_the_session_of_the_parent(server_side: ssl.SSLContext, bundle: str) -> None:
    from tests.transport.test_websocket import abandon, fork

    with serving(echo, tls=server_side, name="localhost") as url, opened(url, bundle) as client:
        assert len(client.receive(GUARD)) == 2
        child = fork(lambda: abandon(client))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.send_text("still here", GUARD)
        assert client.receive(GUARD) == [(TEXT, b"still here")]


# -- the stress --------------------------------------------------------------------------------------------


def sealed(sender: str, number: int, size: int) -> bytes:
    body = b"%s:%d:" % (sender.encode(), number) + random.Random(number).randbytes(8).hex().encode() * (size // 16)
    return body + b":%08x" % zlib.crc32(body)


class Checker:
    """Every message of every sender, once, whole, in order."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.bytes = 0

    def check(self, payload: bytes) -> None:
        body, _, seal = payload.rpartition(b":")
        assert b"%08x" % zlib.crc32(body) == seal, "a message is damaged"
        sender, number, _ = body.split(b":", 2)
        assert int(number) == self.seen[sender.decode()], "a message is missing or out of order"
        self.seen[sender.decode()] += 1
        self.bytes += len(payload)


class StressServer:
    """Echoes what it gets and talks all the time, on one thread: a TLS session of its own is no safer."""

    def __init__(self) -> None:
        self.got = Checker()
        self.sent = 0
        self.pings = 0
        self.pongs = 0

    def __call__(self, peer: Connection) -> None:
        peer.upgrade()
        peer.sock.setblocking(False)
        self.out = bytearray()
        self.ending = False
        decoder = ClientFrames()
        while not (self.ending and not self.out):
            moved = self._write(peer.sock)
            if len(self.out) < 1 << 20:
                moved |= self._read(peer.sock, decoder)
            if not moved:
                select.select([peer.sock], [peer.sock] if self.out else [], [], 0.01)
        peer.sock.settimeout(GUARD)
        peer.until_closed()

    def _read(self, sock: socket.socket, decoder: ClientFrames) -> bool:
        try:
            data = sock.recv(65536)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        assert data, "the client left early"
        for opcode, payload in decoder.feed(data):
            if opcode == PONG:
                self.pongs += 1
            elif opcode == PING:
                self.out += frame(payload, PONG)
            elif payload == b"done":
                self.ending = True
                self.out += frame(b"end")
            else:
                self.got.check(payload)
                self.out += frame(payload)
        return True

    def _write(self, sock: socket.socket) -> bool:
        if not self.out and not self.ending:
            for _ in range(8):
                self.out += frame(sealed("server", self.sent, random.choice([0, 100, 200, 20_000])))
                self.sent += 1
            self.out += frame(b"%d" % self.pings, PING)
            self.pings += 1
        try:
            sent = sock.send(self.out)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        del self.out[:sent]
        return True


def test_concurrent_senders_and_a_reader_lose_and_damage_nothing(server_side: ssl.SSLContext, bundle: str) -> None:
    server = StressServer()
    until = monotonic() + STRESS_SECONDS

    def send(client: SerialSocket, name: str) -> int:
        number = 0
        sizes = random.Random(name)
        while monotonic() < until:
            client.send_text(sealed(name, number, sizes.choice([0, 50, 150, 1000, 40_000, 200_000])), GUARD)
            number += 1
            if number % 16 == 0:
                client.send_ping()
        return number

    def read(client: SerialSocket) -> tuple[Checker, int]:
        checker, pongs = Checker(), 0
        while True:
            for opcode, payload in client.receive(GUARD):
                if opcode == PONG:
                    pongs += 1
                elif payload == b"end":
                    return checker, pongs
                else:
                    checker.check(payload)

    names = [f"s{index}" for index in range(SENDERS)]
    with (
        serving(server, tls=server_side, name="localhost") as url,
        opened(url, bundle) as client,
        ThreadPoolExecutor(SENDERS + 1) as pool,
    ):
        reading = pool.submit(read, client)
        sending = [pool.submit(send, client, name) for name in names]
        waited = [task.result(STRESS_SECONDS + GUARD) for task in sending]
        client.send_text("done", GUARD)
        checker, pongs = reading.result(GUARD)
    counts = dict(zip(names, waited, strict=True))
    assert server.got.seen == counts
    assert checker.seen == {**counts, "server": server.sent}
    assert 0 < server.pongs <= server.pings
    assert pongs > 0
    print(
        f"\n{STRESS_SECONDS:g} s: {server.got.seen.total()} messages ({server.got.bytes >> 20} MiB) up,"
        f" {checker.seen.total()} ({checker.bytes >> 20} MiB) down,"
        f" {server.pings} pings, {server.pongs} pongs"
    )
