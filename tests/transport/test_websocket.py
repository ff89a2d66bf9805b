"""One connection, many threads: what is received, what is sent, and how it ends."""

from __future__ import annotations

import logging
import os
import re
import select
import signal
import socket
import ssl
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import pytest
import websocket

from sogni.core.connection.websocket import CLOSE, PING, PONG, TEXT, Message, parse_close
from sogni.errors import ProtocolError, SogniConnectionError, SogniTimeoutError
from sogni.transport.websocket import READ, WRITE, ConnectionLost, SerialSocket, SerialStream, UpgradeRefused
from tests.transport.websocket_peers import GUARD, Connection, frame, open_descriptors, serving

KEY = "key-that-must-stay-secret"
QUERY = "query-that-must-stay-secret"
LIMIT = 1 << 26


def open_socket(url: str, **options: Any) -> SerialSocket:
    given: dict[str, Any] = {"timeout": GUARD, "proxy": None, "ca_bundle": None, "max_message_size": LIMIT}
    return SerialSocket.connect(url, {"api-key": KEY}, **{**given, **options})


@contextmanager
def connected(handle: Callable[[Connection], None], **options: Any) -> Iterator[SerialSocket]:
    """A connection whose other end is `handle`, called once the upgrade is done."""

    def accept(peer: Connection) -> None:
        peer.upgrade()
        handle(peer)

    with serving(accept) as url:
        client = open_socket(url, **options)
        try:
            yield client
        finally:
            client.shutdown()


def receive_until(client: SerialSocket, count: int) -> list[Message]:
    found: list[Message] = []
    while len(found) < count:
        found += client.receive(GUARD)
    return found


@contextmanager
def in_thread(call: Callable[[], Any]) -> Iterator[Any]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call)


def assert_set(event: threading.Event) -> None:
    assert event.wait(GUARD)


def fill_buffers(client: SerialSocket) -> None:
    """Send raw bytes until the system takes no more, also after a moment; the peer must not be reading."""
    sock = client._stream.sock
    while select.select([], [sock], [], 0.1)[1]:
        with suppress(BlockingIOError):
            sock.send(bytes(65536))
    # A selector says "writable" only when a good part of the buffer is free. Filled byte by byte, that takes too long.
    for size in (65536, 1):
        with suppress(BlockingIOError):
            while True:
                sock.send(bytes(size))


# -- receiving ---------------------------------------------------------------------------------------------


def test_messages_arrive_in_order_many_at_a_time() -> None:
    texts = [b"%d" % number for number in range(5000)]

    def handle(peer: Connection) -> None:
        peer.sock.sendall(b"".join(map(frame, texts)))
        peer.until_closed()

    with connected(handle) as client:
        assert receive_until(client, 5000) == [(TEXT, text) for text in texts]


def test_a_large_message_arrives_whole() -> None:
    def handle(peer: Connection) -> None:
        peer.send(b"x" * (1 << 23))
        peer.until_closed()

    with connected(handle) as client:
        assert receive_until(client, 1) == [(TEXT, b"x" * (1 << 23))]


def test_what_came_with_the_upgrade_is_not_lost() -> None:
    def handle(peer: Connection) -> None:
        peer.upgrade(extra=frame(b"at once") + frame(b"and this"))
        peer.until_closed()

    with serving(handle) as url:
        client = open_socket(url)
        assert receive_until(client, 2) == [(TEXT, b"at once"), (TEXT, b"and this")]
        client.shutdown()


def test_receive_returns_nothing_when_time_is_over() -> None:
    with connected(Connection.until_closed) as client:
        assert client.receive(0) == []
        assert client.receive(0.01) == []


def test_a_frame_in_pieces_keeps_receive_waiting() -> None:
    more = threading.Event()

    def handle(peer: Connection) -> None:
        whole = frame(b"in pieces")
        peer.sock.sendall(whole[:4])
        assert more.wait(GUARD)
        peer.sock.sendall(whole[4:])
        peer.until_closed()

    with connected(handle) as client:
        assert client.receive(0.05) == []
        more.set()
        assert client.receive(GUARD) == [(TEXT, b"in pieces")]


def test_a_ping_is_answered_and_not_returned() -> None:
    answers: list[tuple[int, bytes]] = []

    def handle(peer: Connection) -> None:
        peer.send(b"are you there", PING)
        answers.append(peer.receive())
        peer.send(b"good")
        peer.until_closed()

    with connected(handle) as client:
        assert client.receive(GUARD) == [(TEXT, b"good")]
    assert answers == [(PONG, b"are you there")]


def test_of_many_pings_at_once_the_newest_is_answered() -> None:
    answers: list[tuple[int, bytes]] = []

    def handle(peer: Connection) -> None:
        peer.sock.sendall(b"".join(frame(b"%d" % number, PING) for number in range(50)) + frame(b"end"))
        while not answers or answers[-1] != (PONG, b"49"):
            answers.append(peer.receive())
        peer.send(b"seen")
        peer.until_closed()

    with connected(handle) as client:
        assert receive_until(client, 2) == [(TEXT, b"end"), (TEXT, b"seen")]


def test_pongs_and_close_frames_are_returned() -> None:
    def handle(peer: Connection) -> None:
        assert peer.receive() == (PING, b"")
        peer.send(b"", PONG)
        peer.send(b"\x0f\xaftaken over", CLOSE)
        peer.until_closed()

    with connected(handle) as client:
        client.send_ping()
        (pong, close) = receive_until(client, 2)
        assert pong == (PONG, b"")
        assert (close[0], parse_close(close[1])) == (CLOSE, (4015, "taken over"))


def test_the_end_of_the_stream_is_a_lost_connection_after_its_last_messages() -> None:
    with connected(lambda peer: peer.send(b"last")) as client:
        assert client.receive(GUARD) == [(TEXT, b"last")]
        for _ in range(2):
            with pytest.raises(ConnectionLost) as caught:
                client.receive(GUARD)
            assert caught.value.close_code == 1006


def test_a_reset_is_a_lost_connection() -> None:
    def handle(peer: Connection) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with connected(handle) as client, pytest.raises(ConnectionLost):
        client.receive(GUARD)


def test_a_close_frame_is_read_though_sending_has_failed() -> None:
    """The code of a close frame decides what is done next: it outranks the loss a sender noted."""
    gone = threading.Event()

    def handle(peer: Connection) -> None:
        peer.sock.sendall(frame(b"x", PING) + frame(b"\x0f\xaf", CLOSE))
        peer.sock.shutdown(socket.SHUT_RDWR)
        gone.set()

    with connected(handle) as client:
        assert gone.wait(GUARD)
        with pytest.raises(ConnectionLost):
            while True:
                client.send_text("into the void", GUARD)
        assert client.receive(GUARD) == [(CLOSE, b"\x0f\xaf")]
        with pytest.raises(ConnectionLost):
            client.receive(GUARD)


def test_a_message_above_the_limit_is_a_protocol_error() -> None:
    def handle(peer: Connection) -> None:
        peer.send(b"x" * 1001)
        peer.until_closed()

    with connected(handle, max_message_size=1000) as client, pytest.raises(ProtocolError):
        client.receive(GUARD)


def test_a_violation_is_reported_after_the_messages_before_it_without_waiting() -> None:
    def handle(peer: Connection) -> None:
        peer.sock.sendall(frame(b"good") + b"\xff\xff")
        peer.until_closed()

    with connected(handle) as client:
        assert client.receive(GUARD) == [(TEXT, b"good")]
        with pytest.raises(ProtocolError):
            client.receive(None)


# -- sending -----------------------------------------------------------------------------------------------


def test_texts_are_sent_as_masked_frames() -> None:
    sizes = [0, 1, 125, 126, 65535, 65536, 3_000_000]
    found: list[tuple[int, bytes]] = []

    def handle(peer: Connection) -> None:
        found.extend(peer.receive() for _ in range(len(sizes) + 1))
        peer.send(b"seen")

    with connected(handle) as client:
        client.send_text("grüße", GUARD)
        for size in sizes:
            client.send_text(b"y" * size, GUARD)
        assert client.receive(GUARD) == [(TEXT, b"seen")]
    assert found == [(TEXT, "grüße".encode()), *[(TEXT, b"y" * size) for size in sizes]]


def test_a_write_that_the_peer_does_not_take_ends_at_its_deadline_and_with_it_the_connection() -> None:
    held = threading.Event()
    with connected(lambda peer: assert_set(held)) as client:
        with pytest.raises(SogniTimeoutError) as caught:
            client.send_text(b"z" * (1 << 26), 0.1)
        assert (caught.value.phase, caught.value.timeout) == ("transfer", 0.1)
        with pytest.raises(ConnectionLost):
            client.send_text("after half a frame", GUARD)
        with pytest.raises(ConnectionLost):
            client.send_ping()
        with pytest.raises(ConnectionLost):
            client.receive(GUARD)
        held.set()


def test_a_write_that_was_not_begun_leaves_the_connection_as_it_was() -> None:
    go_on = threading.Event()
    found: list[tuple[int, bytes]] = []

    def handle(peer: Connection) -> None:
        assert go_on.wait(GUARD)
        skip_raw_bytes(peer)
        found.append(peer.receive())
        peer.send(b"seen")

    def skip_raw_bytes(peer: Connection) -> None:
        while b"\x81" not in (seen := peer.sock.recv(65536, socket.MSG_PEEK)):
            peer.sock.recv(len(seen))
        peer.sock.recv(seen.index(b"\x81"), socket.MSG_WAITALL)

    with connected(handle) as client:
        fill_buffers(client)
        with pytest.raises(SogniTimeoutError):
            client.send_text("too early", 0.05)
        go_on.set()
        client.send_text("in time", GUARD)
        assert client.receive(GUARD) == [(TEXT, b"seen")]
    assert found == [(TEXT, b"in time")]


def test_a_write_that_waits_behind_a_ping_is_not_begun_either() -> None:
    go_on = threading.Event()
    found: list[tuple[int, bytes]] = []

    def handle(peer: Connection) -> None:
        assert go_on.wait(GUARD)
        while b"\x89" not in (seen := peer.sock.recv(65536, socket.MSG_PEEK)):
            peer.sock.recv(len(seen))
        peer.sock.recv(seen.index(b"\x89"), socket.MSG_WAITALL)
        found.extend(peer.receive() for _ in range(2))
        peer.send(b"seen")

    with connected(handle) as client:
        fill_buffers(client)
        client.send_ping()
        with pytest.raises(SogniTimeoutError):
            client.send_text("too early", 0.05)
        go_on.set()
        client.send_text("in time", GUARD)
        assert client.receive(GUARD) == [(TEXT, b"seen")]
    assert found == [(PING, b""), (TEXT, b"in time")]


@pytest.mark.parametrize("send", [SerialSocket.send_ping, lambda client: client.send_text("x", GUARD)])
def test_ctrl_c_inside_a_frame_ends_the_connection(
    send: Callable[[SerialSocket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(data: memoryview) -> None:
        raise KeyboardInterrupt

    with connected(Connection.until_closed) as client:
        with monkeypatch.context() as patch:
            patch.setattr(client._stream, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                send(client)
        with pytest.raises(ConnectionLost, match="cut off"):
            client.send_text("after an unknown part of a frame", GUARD)
        with pytest.raises(ConnectionLost):
            client.receive(GUARD)


def test_a_frame_is_sent_at_once_when_the_system_takes_it() -> None:
    found: list[tuple[int, bytes]] = []

    def handle(peer: Connection) -> None:
        found.extend(peer.receive() for _ in range(2))
        peer.send(b"seen")

    frame = SerialSocket.text_frame("grüße")
    with connected(handle) as client:
        assert [client.send_at_once(frame) for _ in range(2)] == [len(frame)] * 2
        assert client.receive(GUARD) == [(TEXT, b"seen")]
    assert found == [(TEXT, "grüße".encode())] * 2


@pytest.mark.parametrize("waited_for", [True, False])
def test_the_rest_of_a_frame_begun_at_once_comes_before_all_else(waited_for: bool) -> None:
    go_on = threading.Event()
    found: list[tuple[int, bytes]] = []

    def handle(peer: Connection) -> None:
        assert go_on.wait(GUARD)
        found.extend(peer.receive() for _ in range(3))
        peer.send(b"seen")

    large = SerialSocket.text_frame(b"z" * (1 << 25))
    small = SerialSocket.text_frame("small")
    with connected(handle) as client:
        assert 0 < client.send_at_once(large) < len(large)
        assert client.send_at_once(small) == 0
        client.send_ping()
        go_on.set()
        if waited_for:
            client.send_frame(large, GUARD, begun=True)
        with in_thread(lambda: client.receive(GUARD)) as received:
            client.send_frame(small, GUARD)
            assert received.result() == [(TEXT, b"seen")]
    assert found == [(TEXT, b"z" * (1 << 25)), (PING, b""), (TEXT, b"small")]


def test_a_frame_begun_at_once_whose_rest_is_not_taken_in_time_ends_the_connection() -> None:
    held = threading.Event()
    large = SerialSocket.text_frame(b"z" * (1 << 26))
    with connected(lambda peer: assert_set(held)) as client:
        assert 0 < client.send_at_once(large) < len(large)
        with pytest.raises(SogniTimeoutError):
            client.send_frame(large, 0.05, begun=True)
        with pytest.raises(ConnectionLost):
            client.send_text("after half a frame", GUARD)
        held.set()


def test_nothing_is_sent_at_once_when_that_would_wait_or_fail() -> None:
    frame = SerialSocket.text_frame("x")
    held = threading.Event()
    with connected(lambda peer: assert_set(held)) as client:
        with client._send_lock:
            assert client.send_at_once(frame) == 0
        fill_buffers(client)
        assert client.send_at_once(frame) == 0
        client._stream.stop(socket.SHUT_RDWR)
        assert client.send_at_once(frame) == 0
        client.shutdown()
        assert client.send_at_once(frame) == 0
        with pytest.raises(ConnectionLost):
            client.send_frame(frame, GUARD)
        held.set()


def test_no_interruption_cuts_a_frame_that_is_sent_at_once() -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    found: list[int] = []
    text = b"x" * 5000

    def handle(peer: Connection) -> None:
        while (message := peer.receive()) != (TEXT, b"last"):
            assert message == (TEXT, text)
            found.append(1)
        peer.send(b"seen")

    frame = SerialSocket.text_frame(text)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with connected(handle) as client:
            for number in range(2000):
                with suppress(Interrupted):
                    signal.setitimer(signal.ITIMER_REAL, 0.00001 * (1 + number % 40))
                    while True:
                        client.send_at_once(frame)
            with in_thread(lambda: client.send_text("last", GUARD)) as last:
                last.result()
            assert client.receive(GUARD) == [(TEXT, b"seen")]
    finally:
        signal.signal(signal.SIGALRM, before)
    assert found


def test_a_sender_waits_no_longer_than_its_deadline_for_another_sender() -> None:
    held = threading.Event()
    with connected(lambda peer: assert_set(held)) as client:
        with in_thread(lambda: client.send_text(b"z" * (1 << 26), GUARD)) as slow:
            while not client._send_lock.locked():
                pass
            with pytest.raises(SogniTimeoutError):
                client.send_text("second", 0.05)
            client.shutdown()
            with pytest.raises(ConnectionLost):
                slow.result(GUARD)
        held.set()


def test_the_reader_goes_on_while_a_write_is_stuck_and_its_pong_follows_the_frame() -> None:
    go_on = threading.Event()
    found: list[tuple[int, int]] = []

    def handle(peer: Connection) -> None:
        peer.sock.sendall(frame(b"p", PING) + frame(b"news"))
        assert go_on.wait(GUARD)
        for _ in range(3):
            opcode, payload = peer.receive()
            found.append((opcode, len(payload)))
        peer.send(b"seen")
        peer.until_closed()

    with connected(handle) as client:
        with in_thread(lambda: client.send_text(b"z" * (1 << 25), GUARD)) as slow:
            while not client._send_lock.locked():
                pass
            assert client.receive(GUARD) == [(TEXT, b"news")]
            client.send_ping()
            go_on.set()
            slow.result(GUARD)
        assert client.receive(GUARD) == [(TEXT, b"seen")]
    assert found == [(TEXT, 1 << 25), (PONG, 1), (PING, 0)]


def test_a_ping_that_finds_no_room_is_written_by_the_reader() -> None:
    go_on = threading.Event()
    last: list[bytes] = []

    def handle(peer: Connection) -> None:
        assert go_on.wait(GUARD)
        tail = b""
        while b"\x89\x80" not in tail:
            tail = tail[-1:] + peer.sock.recv(65536)
        last.append(tail[-6:-4])
        peer.send(b"seen")
        peer.until_closed()

    with connected(handle) as client:
        fill_buffers(client)
        client.send_ping()
        go_on.set()
        assert client.receive(GUARD) == [(TEXT, b"seen")]
    assert last == [b"\x89\x80"]


def test_the_close_frame_is_the_last_that_is_sent() -> None:
    found: list[Message] = []

    def handle(peer: Connection) -> None:
        with suppress(EOFError):
            while True:
                found.append(peer.receive())

    with connected(handle) as client:
        client.send_text("before", GUARD)
        client.send_close(1000, "Client disconnected")
        client.send_close(1000, "twice")
        for call in (lambda: client.send_text("after", GUARD), client.send_ping):
            with pytest.raises(ConnectionLost):
                call()
    assert found == [(TEXT, b"before"), (CLOSE, b"\x03\xe8Client disconnected")]


def test_a_long_close_reason_is_cut_between_characters() -> None:
    found: list[Message] = []
    with connected(lambda peer: found.append(peer.receive())) as client:
        client.send_close(1000, "ü" * 100)
        with pytest.raises(ConnectionLost):
            client.receive(GUARD)
    assert parse_close(found[0][1]) == (1000, "ü" * 61)


# -- waking and ending -------------------------------------------------------------------------------------


def test_wake_ends_a_wait_from_any_thread() -> None:
    with connected(Connection.until_closed) as client, in_thread(lambda: client.receive(None)) as waiting:
        client.wake()
        assert waiting.result(GUARD) == []


def test_wakes_before_a_wait_end_it_once() -> None:
    go_on = threading.Event()

    def handle(peer: Connection) -> None:
        assert go_on.wait(GUARD)
        peer.send(b"news")
        peer.until_closed()

    with connected(handle) as client:
        for _ in range(100_000):
            client.wake()
        assert client.receive(None) == []
        assert client.receive(0) == []
        go_on.set()
        assert client.receive(None) == [(TEXT, b"news")]


def test_a_peer_that_never_answers_the_close_frame_does_not_hold_anybody() -> None:
    with connected(Connection.until_closed) as client, in_thread(lambda: client.receive(None)) as waiting:
        client.send_close(1000, "bye")
        began = monotonic()
        client.shutdown()
        with pytest.raises(ConnectionLost, match="closed by this side"):
            waiting.result(GUARD)
        assert monotonic() - began < GUARD / 2


def test_everything_is_harmless_after_shutdown() -> None:
    with connected(Connection.until_closed) as client:
        for _ in range(3):
            client.shutdown()
            client.wake()
            client.send_close(1000)
        for call in (lambda: client.receive(0), lambda: client.send_text("x", 1), client.send_ping):
            with pytest.raises(ConnectionLost):
                call()


def test_shutdown_closes_descriptors_also_under_a_reader() -> None:
    with serving(lambda peer: (peer.upgrade(), peer.until_closed())[0]) as url:
        before = open_descriptors()
        client = open_socket(url)
        with in_thread(lambda: client.receive(None)) as waiting:
            while not client._inside:
                pass
            client.shutdown()
            with pytest.raises(ConnectionLost):
                waiting.result(GUARD)
        assert client._stream.sock.fileno() == -1
        assert client._wake_w.fileno() == -1
        # The server's end closes on its own thread; this process holds that one, too.
        while open_descriptors() > before:
            pass


def test_shutdown_inside_the_gate_does_not_lock_up() -> None:
    """A finalizer may run on the very thread that holds the gate."""
    with connected(Connection.until_closed) as client, client._gate:
        client.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_lets_go_and_the_parent_goes_on() -> None:
    found: list[Message] = []

    def handle(peer: Connection) -> None:
        with suppress(EOFError):
            while True:
                found.append(peer.receive())
                peer.send(b"echo")

    with connected(handle) as client:
        client.send_text("before", GUARD)
        assert client.receive(GUARD) == [(TEXT, b"echo")]
        with client._send_lock, client._gate:  # as if other threads of the parent were inside
            child = fork(lambda: abandon(client))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.send_text("after", GUARD)
        assert client.receive(GUARD) == [(TEXT, b"echo")]
        client.wake()
        assert client.receive(GUARD) == []
    assert found == [(TEXT, b"before"), (TEXT, b"after")]


def abandon(client: SerialSocket) -> bool:
    numbers = [client._stream.sock.fileno(), client._wake_r.fileno(), client._wake_w.fileno()]
    client.abandon_after_fork()
    client.abandon_after_fork()
    client.wake()
    client.shutdown()
    with pytest.raises(ConnectionLost):
        client.receive(0)
    return not any(is_open(number) for number in numbers)


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def fork(call: Callable[[], bool]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads: what is tested
        child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if call() else 1
        finally:
            os._exit(code)
    return child


# -- connecting --------------------------------------------------------------------------------------------


def refused(url: str, **options: Any) -> SogniConnectionError:
    with pytest.raises(SogniConnectionError) as caught:
        open_socket(f"{url}?appId=APP&secret={QUERY}", **options)
    told = "".join(traceback.format_exception(caught.value))
    assert KEY not in told
    assert QUERY not in told
    assert "127.0.0.1" in str(caught.value)
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_refused_upgrade_carries_its_status_and_reads_as_1006(status: int) -> None:
    def handle(peer: Connection) -> None:
        request = peer.read_request()
        body = b"you sent: " + request
        peer.sock.sendall(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)

    with serving(handle) as url:
        error = refused(url)
    assert isinstance(error, UpgradeRefused)
    assert (error.status, error.close_code) == (status, 1006)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused_because_credentials_would_follow_it(status: int) -> None:
    asked: list[bytes] = []

    def elsewhere(peer: Connection) -> None:
        asked.append(peer.sock.recv(1))

    with serving(elsewhere) as other:

        def handle(peer: Connection) -> None:
            peer.read_request()
            peer.sock.sendall(b"HTTP/1.1 %d Moved\r\nLocation: %s\r\n\r\n" % (status, other.encode()))

        with serving(handle) as url:
            error = refused(url)
    assert isinstance(error, UpgradeRefused)
    assert error.status == status
    assert asked in ([], [b""])  # at most the connection that ends the server


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "not a WebSocket upgrade"),
        (b"\xff\xfe\r\n\r\n", "not a WebSocket upgrade"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + bytes(2_000_000), "too long|HTTP 200"),
    ],
)
def test_an_answer_that_is_no_upgrade_says_so(answer: bytes, cause: str) -> None:
    def handle(peer: Connection) -> None:
        peer.read_request()
        peer.sock.sendall(answer)

    with serving(handle) as url:
        assert re.search(cause, str(refused(url)))


def test_a_host_that_does_not_listen_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = refused(f"ws://127.0.0.1:{port}/")
    assert "refused" in str(error)
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_a_server_that_drips_is_left_at_the_deadline() -> None:
    def handle(peer: Connection) -> None:
        peer.read_request()
        closed = threading.Event()
        while not closed.wait(0.02):
            peer.sock.sendall(b"H")

    with serving(handle) as url:
        began = monotonic()
        assert "within 0.3 s" in str(refused(url, timeout=0.3))
        assert monotonic() - began < GUARD / 2


def test_a_key_with_a_line_break_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(SogniConnectionError, match="line break") as caught:
        SerialSocket.connect("ws://127.0.0.1:9/", {"api-key": f"{KEY}\r\nX: y"}, timeout=1, max_message_size=1)
    assert KEY not in str(caught.value)


def test_a_host_that_has_no_address_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    assert "cannot be resolved" in str(refused("ws://127.0.0.1.invalid/"))


def test_an_upgrade_whose_time_is_up_is_not_begun() -> None:
    with serving(Connection.until_closed) as url:
        assert "within" in str(refused(url, timeout=1e-9))


def test_a_scheme_that_is_none_of_ours_is_a_connection_error() -> None:
    refused("ftp://127.0.0.1/")


def test_the_request_offers_no_compression_and_carries_the_headers() -> None:
    requests: list[bytes] = []

    def handle(peer: Connection) -> None:
        peer.upgrade()
        requests.append(peer.request)

    with serving(handle) as url:
        open_socket(f"{url}path?a=b+c").shutdown()
    lines = requests[0].decode().lower().split("\r\n")
    assert lines[0] == "get /path?a=b+c http/1.1"
    assert f"api-key: {KEY}" in lines
    assert not [line for line in lines if line.startswith(("sec-websocket-extensions", "cookie", "origin"))]


def test_cookies_of_one_connection_are_not_sent_with_the_next() -> None:
    requests: list[bytes] = []

    def handle(peer: Connection) -> None:
        request = peer.read_request()
        requests.append(request)
        cookie = b"Set-Cookie: session=of-the-first; Domain=localhost\r\n"
        peer.sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\n" + cookie + b"\r\n")

    with serving(handle, name="localhost") as url:
        for _ in range(2):
            with pytest.raises(UpgradeRefused):
                open_socket(url)
    assert [b"of-the-first" in request for request in requests] == [False, False]


def test_no_cookie_is_shared_with_other_users_of_websocket_client() -> None:
    requests: list[bytes] = []
    name = b""

    def handle(peer: Connection) -> None:
        requests.append(peer.read_request())
        peer.sock.sendall(
            b"HTTP/1.1 302 Found\r\n set-COOKIE: " + name + b"=1; Domain=localhost\r\nLocation: /\r\n\r\n"
        )

    def connect_ours(headers: dict[str, str]) -> None:
        with pytest.raises(UpgradeRefused):
            SerialSocket.connect(url, headers, timeout=GUARD, max_message_size=LIMIT)

    def connect_other() -> None:
        with suppress(websocket.WebSocketException):  # older releases return redirects
            websocket.create_connection(url, timeout=GUARD, redirect_limit=0).shutdown()

    with serving(handle, name="localhost") as url:
        name = b"ours"
        connect_ours({})
        name = b"theirs"
        connect_other()
        connect_other()
        connect_ours({"Cookie": "session=own"})
    cookies = [[line for line in it.split(b"\r\n") if line.startswith(b"Cookie")] for it in requests]
    assert cookies == [[], [], [b"Cookie: theirs=1"], [b"Cookie: session=own"]]


def test_websocket_client_logs_nothing_of_ours_even_when_told_to_trace() -> None:
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    websocket.enableTrace(True, handler)
    try:
        with connected(Connection.until_closed) as client:
            client.send_text("private", GUARD)
            logging.getLogger("websocket").debug("somebody else's")
    finally:
        websocket.enableTrace(False)
        logging.getLogger("websocket").removeHandler(handler)
    assert records == ["somebody else's"]


def test_nothing_stays_open_when_the_connection_cannot_be_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more() -> None:
        raise OSError(24, "Too many open files")

    def interrupted() -> None:
        raise KeyboardInterrupt

    with serving(lambda peer: (peer.upgrade(), peer.until_closed())[0]) as url:
        monkeypatch.setattr("sogni.transport.websocket.selectors.DefaultSelector", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_socket(url)
        monkeypatch.undo()
        for name in ("selectors.DefaultSelector", "socket.socketpair"):
            monkeypatch.setattr(f"sogni.transport.websocket.{name}", no_more)
            with pytest.raises(SogniConnectionError, match="Too many open files"):
                open_socket(url)
            monkeypatch.undo()


# -- what TLS may answer to a read or a write --------------------------------------------------------------


class ScriptedSocket:
    """Answers each call with the next of its answers: bytes, a number, or an error."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def recv(self, _: object) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    send = recv


def scripted(*answers: Any, secure: bool = True) -> SerialStream:
    stream = SerialStream(ScriptedSocket(*answers))  # type: ignore[arg-type]
    stream.secure = secure
    return stream


def test_a_read_may_have_to_wait_for_room_to_write() -> None:
    stream = scripted(ssl.SSLWantWriteError(), b"data", ssl.SSLWantReadError())
    assert (stream.read(), stream.read_want, stream.readable) == (b"", WRITE, False)
    assert (stream.read(), stream.read_want, stream.readable) == (b"data", READ, False)


def test_a_write_may_have_to_wait_for_something_to_read() -> None:
    stream = scripted(ssl.SSLWantReadError(), ssl.SSLWantWriteError(), 3)
    assert [stream.write(memoryview(b"abc")) for _ in range(3)] == [(0, READ), (0, WRITE), (3, 0)]


def test_the_last_records_come_before_the_error_that_ended_them() -> None:
    stream = scripted(b"last ", b"words", ConnectionResetError(), ConnectionResetError())
    assert (stream.read(), stream.readable) == (b"last words", True)
    with pytest.raises(ConnectionResetError):
        stream.read()


def test_a_full_buffer_is_followed_by_another_read() -> None:
    stream = scripted(bytes(65536), b"rest", secure=False)
    assert (len(stream.read()), stream.readable) == (65536, True)
    assert (stream.read(), stream.readable) == (b"rest", False)
