"""Answers without an end: seen as they arrive, left at any moment, and nothing stays behind."""

from __future__ import annotations

import gc
import os
import signal
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from sogni.core.http import HttpCall, HttpReply
from sogni.core.workflows.event_readers import STREAM_HEADERS
from sogni.errors import ClientClosedError, SogniConnectionError, SogniTimeoutError
from tests.transport.peers import Called, answering, read_head, reply, talking
from tests.transport.websocket_peers import Connection, serving

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED, PLAIN = HEAD + b"Transfer-Encoding: chunked\r\n\r\n", HEAD + b"Connection: close\r\n\r\n"
CALL = HttpCall(method="GET", path="/events", headers=STREAM_HEADERS, repeatable=True)
SOON = 30.0


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@contextmanager
def body(handle: Callable[[Connection], None], **options: Any) -> Iterator[Any]:
    with answering(handle) as base, talking(base, **options) as http:
        opened = http.open_events(CALL)
        try:
            yield opened
        finally:
            opened.close()


def until_closed(seen: list[bytes]) -> Callable[[Connection], None]:
    """A server that says one thing and then waits for the end of the connection."""

    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(CHUNKED + chunk(b"one"))
        seen.append(peer.sock.recv(1))

    return handle


def wait_for(predicate: Callable[[], Any]) -> None:
    end = time.monotonic() + SOON
    while not predicate():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("chunked", [True, False])
def test_every_piece_is_seen_the_moment_it_arrives(chunked: bool) -> None:
    seen = threading.Event()

    def handle(peer: Connection) -> None:
        assert b"accept-encoding: identity" in read_head(peer).lower()
        peer.sock.sendall(CHUNKED if chunked else PLAIN)
        for piece in (b"one", b"two"):
            peer.sock.sendall(chunk(piece) if chunked else piece)
            # The next one is sent only after this one was seen.
            assert seen.wait(SOON)
            seen.clear()
        peer.sock.sendall(chunk(b"") if chunked else b"")

    with body(handle) as events:
        for piece in (b"one", b"two"):
            assert events.read(SOON) == piece
            seen.set()
        assert [events.read(SOON), events.read(SOON)] == [b"", b""]


def test_a_refusal_is_a_reply() -> None:
    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(reply(b"gone", "404 Not Found"))

    with answering(handle) as base, talking(base) as http:
        refused = http.open_events(CALL)
    assert isinstance(refused, HttpReply)
    assert (refused.status, refused.body) == (404, b"gone")


def test_a_body_that_is_cut_off_is_a_lost_connection_after_all_that_came() -> None:
    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(CHUNKED + chunk(b"one") + b"5\r\ntw")

    with body(handle) as events:
        got = b""
        with pytest.raises(SogniConnectionError):
            while True:
                got += events.read(SOON)
        assert got.startswith(b"one")


def test_silence_runs_out_of_time_and_can_be_read_on_after_it() -> None:
    go = threading.Event()

    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(CHUNKED)
        assert go.wait(SOON)
        peer.sock.sendall(chunk(b"late"))
        peer.until_closed()

    with body(handle) as events:
        with pytest.raises(SogniTimeoutError):
            events.read(0.05)
        go.set()
        assert events.read(SOON) == b"late"


def test_closing_ends_the_connection_and_whoever_reads() -> None:
    seen: list[bytes] = []
    with body(until_closed(seen)) as events:
        assert events.read(SOON) == b"one"
        waiting = Called(lambda: events.read(SOON))
        events.close()
        events.close()
        assert waiting.ended().outcome == b""
        wait_for(lambda: seen == [b""])


def test_dropping_it_ends_the_connection() -> None:
    seen: list[bytes] = []
    with answering(until_closed(seen)) as base, talking(base) as http:
        events = http.open_events(CALL)
        assert events.read(SOON) == b"one"
        del events
        gc.collect()
        wait_for(lambda: seen == [b""])


def test_closing_the_client_ends_it_in_any_thread() -> None:
    seen: list[bytes] = []
    with answering(until_closed(seen)) as base, talking(base) as http:
        events = http.open_events(CALL)
        assert events.read(SOON) == b"one"
        waiting = Called(lambda: events.read(SOON))
        http.close()
        assert waiting.ended().outcome == b""
        with pytest.raises(ClientClosedError):
            http.open_events(CALL)
        wait_for(lambda: b"" in seen)


def test_ctrl_c_leaves_at_once() -> None:
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    with body(until_closed([])) as events:
        assert events.read(SOON) == b"one"
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            timer.start()  # in here, because this thread may continue late
            events.read(SOON)
        assert time.monotonic() - began < SOON / 2
    timer.join()


def test_who_reads_slowly_holds_the_service_back() -> None:
    """What is read ahead is bounded: the rest stays with the service until somebody takes it."""
    sent = [0]

    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(CHUNKED)
        piece = chunk(b"x" * 65536)
        for _ in range(400):
            peer.sock.sendall(piece)
            sent[0] += 1
        peer.sock.sendall(chunk(b""))

    with body(handle) as events:
        before = -1
        while before != sent[0]:
            before = sent[0]
            time.sleep(0.2)
        assert sent[0] < 400
        total = 0
        while data := events.read(SOON):
            total += len(data)
        assert total == 400 * 65536


def test_it_is_closed_under_tls_too(tmp_path: Path) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    seen: list[bytes] = []
    with serving(until_closed(seen), tls=server) as url:
        base = "https" + url.removeprefix("wss").rstrip("/")
        with talking(base, ca_bundle=str(bundle)) as http:
            events = http.open_events(CALL)
            assert events.read(SOON) == b"one"
            waiting = Called(lambda: events.read(SOON))
            events.close()
            assert waiting.ended().outcome == b""
            wait_for(lambda: seen)


def test_in_a_forked_child_it_is_gone_and_the_parent_reads_on() -> None:
    go = threading.Event()

    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(CHUNKED + chunk(b"one"))
        assert go.wait(SOON)
        peer.sock.sendall(chunk(b"two"))
        peer.until_closed()

    with answering(handle) as base, talking(base) as http:
        events = http.open_events(CALL)
        assert events.read(SOON) == b"one"
        with warnings.catch_warnings():
            # 3.12 warns of any fork in a process with threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            os._exit(_in_the_child(http, events))
        assert os.waitpid(child, 0)[1] == 0
        go.set()
        assert events.read(SOON) == b"two"


def _in_the_child(http: Any, events: Any) -> int:
    try:
        http.abandon_after_fork()
        events.read(SOON)
    except SogniConnectionError as error:
        return 0 if "forked" in str(error) else 1
    except BaseException:
        return 2
    return 3


def test_no_content_is_no_stream() -> None:
    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with answering(handle) as base, talking(base) as http:
        assert http.open_events(CALL).status == 204
