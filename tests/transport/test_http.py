"""HTTP with `requests`: credentials stay at home, nothing waits for ever, errors name host and cause only."""

from __future__ import annotations

import gzip
import io
import socket
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sogni.core.http import HttpCall, HttpReply, get, post
from sogni.core.projects.uploads import put_call
from sogni.errors import ClientClosedError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.local.media import MediaSource, open_source
from sogni.transport.http import Connections, Http
from tests.transport.peers import KEY, always, answering, deaf, read_head, reply, talking
from tests.transport.websocket_peers import Connection

TOKEN = "secret-token"
SECRET = "X-Amz-Signature=5eec05d27b"
OK = reply(b'{"ok":true}')
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 9


def signed(base: str) -> HttpCall:
    return HttpCall(method="GET", path=f"{base}/file?{SECRET}", host="storage", repeatable=True)


def transfers(tmp_path: Path) -> dict[str, Callable[[Http, HttpCall], Any]]:
    """Every way to fetch a result."""

    def streamed(http: Http, call: HttpCall) -> Any:
        stream = http.open_stream(call)
        if isinstance(stream, HttpReply):
            return stream
        with stream:
            return stream.read()

    return {
        "send": Http.send,
        "download": lambda http, call: http.download(call, lambda suffix: tmp_path / f"result{suffix}"),
        "spool": lambda http, call: http.spool(call, "image"),
        "open_stream": streamed,
    }


WAYS = ["send", "download", "spool", "open_stream"]


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


# --- one exchange


def test_a_connection_is_kept_for_the_next_request() -> None:
    peers: list[Connection] = []

    def handle(peer: Connection) -> None:
        peers.append(peer)
        while read_head(peer):
            peer.sock.sendall(OK)

    with answering(handle) as rest, talking(rest) as http:
        assert [http.send(get("/a")).body for _ in range(3)] == [b'{"ok":true}'] * 3
        assert len(peers) == 1


@pytest.mark.parametrize("told", [True, False])
def test_of_a_body_that_is_too_long_the_rest_is_not_read(told: bool) -> None:
    def handle(peer: Connection) -> None:
        read_head(peer)
        length = {"Content_Length": "1000000000"} if told else {"Transfer_Encoding": "chunked"}
        peer.sock.sendall(reply(b"", **length))
        with suppress(OSError):
            while not told:
                peer.sock.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")

    with answering(handle) as rest, talking(rest) as http:
        call = HttpCall(method="GET", path=f"{rest}/a", host="storage", max_bytes=3000)
        size = len(http.send(call).body)
    assert size == 0 if told else 3000 < size < 1_000_000


def test_a_redirect_can_be_the_answer() -> None:
    with answering(always(reply(b"", "302 Found", Location="/b"))) as rest, talking(rest) as http:
        call = HttpCall(method="GET", path=f"{rest}/a", host="storage", redirects=False)
        assert http.send(call).status == 302


def test_credentials_go_to_their_own_origin_only() -> None:
    heads: list[bytes] = []

    def elsewhere(peer: Connection) -> None:
        heads.append(read_head(peer))
        peer.sock.sendall(OK)

    with answering(elsewhere) as other:

        def home(peer: Connection) -> None:
            while head := read_head(peer):
                heads.append(head)
                target = "/again" if b"GET /start" in head else f"{other}/there"
                peer.sock.sendall(reply(b"", "302 Found", Location=target))

        with answering(home) as rest, talking(rest) as http:
            answer = http.send(get("/start"))
    assert (answer.status, answer.url) == (200, f"{other}/there")
    assert [KEY.encode() in head for head in heads] == [True, True, False]


def test_a_redirect_that_is_not_followed_is_closed() -> None:
    with (
        answering(always(reply(b"", "307 Temporary Redirect", Location="http://127.0.0.1:1/x"))) as rest,
        talking(rest) as http,
        pytest.raises(SogniConnectionError, match="redirected a POST request to another host"),
    ):
        http.send(post("/start", {"password": "x"}))


@pytest.mark.parametrize("encoding", ["plain", "gzip", "chunked"])
def test_a_body_arrives_whole_however_it_is_sent(encoding: str) -> None:
    body = b"content" * 20_000
    answers = {
        "plain": reply(body),
        "gzip": reply(gzip.compress(body), Content_Encoding="gzip"),
        "chunked": reply(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), Transfer_Encoding="chunked"),
    }
    with answering(always(answers[encoding])) as rest, talking(rest) as http:
        assert [http.send(get("/a")).body == body for _ in range(2)] == [True, True]


def test_an_answer_without_a_body_is_empty() -> None:
    with answering(always(b"HTTP/1.1 204 No Content\r\n\r\n")) as rest, talking(rest) as http:
        answer = http.send(get("/a"))
    assert (answer.status, answer.body) == (204, b"")


# --- time


def test_a_host_that_does_not_answer_in_time() -> None:
    with (
        answering(Connection.until_closed) as rest,
        talking(rest, timeouts={"request": 0.05}) as http,
        pytest.raises(SogniTimeoutError) as caught,
    ):
        http.send(get("/v1/account/me", token=TOKEN))
    assert (caught.value.phase, caught.value.timeout) == ("request", 0.05)
    assert TOKEN not in shown(caught.value)


def test_a_host_that_takes_no_connection_in_time() -> None:
    with deaf() as rest, talking(rest, timeouts={"connect": 0.05}) as http, pytest.raises(SogniTimeoutError) as caught:
        http.send(get("/a"))
    assert (caught.value.phase, caught.value.timeout) == ("connect", 0.05)


def test_an_answer_that_drips_is_cut_off_at_the_limit_of_the_call() -> None:
    """transport §3: the limit is for the whole answer, so that no drip keeps a caller."""
    over = threading.Event()

    def drips(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(reply(b"", Content_Length="100000"))
        while not over.wait(0.02):
            peer.sock.sendall(b".")

    with answering(drips) as rest, talking(rest, timeouts={"request": 0.1}) as http:
        with pytest.raises(SogniTimeoutError) as caught:
            http.send(get("/a"))
        over.set()
    assert (caught.value.phase, caught.value.timeout) == ("request", 0.1)


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_stops_coming_runs_out_of_time(way: str, tmp_path: Path) -> None:
    def stops(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(reply(b"half", Content_Length="8"))
        peer.until_closed()

    with (
        answering(stops) as base,
        talking(base, timeouts={"transfer": 0.05}) as http,
        pytest.raises(SogniTimeoutError) as caught,
    ):
        transfers(tmp_path)[way](http, signed(base))
    assert (caught.value.phase, list(tmp_path.iterdir())) == ("transfer", [])
    assert SECRET not in shown(caught.value)


def test_a_call_without_any_time_left_runs_out_of_it() -> None:
    with answering(always(OK)) as rest, talking(rest) as http, pytest.raises(SogniTimeoutError):
        http.send(HttpCall(method="GET", path="/a", timeout=0.0))


def test_an_upload_whose_answer_drips_runs_out_of_time() -> None:
    over = threading.Event()

    def drips(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\nX-Padding: ")
        while not over.wait(0.02):
            peer.sock.sendall(b".")

    with (
        answering(drips) as base,
        talking(base, timeouts={"transfer": 0.1}) as http,
        pytest.raises(SogniTimeoutError) as caught,
    ):
        try:
            source = open_source("image", PNG)
            http.upload(put_call(f"{base}/file?{SECRET}", "image/png", source.size), source)
        finally:
            over.set()
    assert (caught.value.phase, caught.value.timeout) == ("transfer", 0.1)


# --- what breaks


def test_a_host_that_cannot_be_reached_is_named_with_the_cause() -> None:
    with talking("http://127.0.0.1:1") as http, pytest.raises(SogniConnectionError) as caught:
        http.send(get("/v1/account/me", token=TOKEN))
    assert str(caught.value) == "cannot reach 127.0.0.1:1: Connection refused"
    assert TOKEN not in shown(caught.value)


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden"])
@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_is_cut_off_is_a_lost_connection(way: str, status: str, tmp_path: Path) -> None:
    def cut(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(reply(b"half", status, Content_Length="8"))

    with answering(cut) as base, talking(base) as http, pytest.raises(SogniConnectionError) as caught:
        transfers(tmp_path)[way](http, signed(base))
    assert list(tmp_path.iterdir()) == []
    assert SECRET not in shown(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_is_a_reply(way: str, tmp_path: Path) -> None:
    with answering(always(reply(b"expired", "403 Forbidden"))) as base, talking(base) as http:
        answer = transfers(tmp_path)[way](http, signed(base))
    assert (answer.status, answer.body, list(tmp_path.iterdir())) == (403, b"expired", [])


def test_results_are_fetched_whole(tmp_path: Path) -> None:
    with answering(always(reply(PNG))) as base, talking(base) as http:
        found = {way: transfers(tmp_path)[way](http, signed(base)) for way in WAYS}
    with found["spool"].open() as file:
        assert [found["send"].body, found["download"].read_bytes(), file.read(), found["open_stream"]] == [PNG] * 4
    assert (found["download"].name, found["spool"].name) == ("result.png", "the result given as image")
    found["spool"].close()


def test_what_is_no_http_at_all_is_an_error_of_the_connection() -> None:
    with answering(always(b"SSH-2.0\r\n\r\n")) as rest, talking(rest) as http, pytest.raises(SogniConnectionError):
        http.send(get("/a"))


# --- uploads


class Disk(io.RawIOBase):
    """A file of which `good` bytes can be read; then comes `then`."""

    def __init__(self, good: int, then: Callable[[], bytes]) -> None:
        self._left, self._then = good, then

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._left:
            return self._then()
        size = min(size, self._left) if size >= 0 else self._left
        self._left -= size
        return b"x" * size


class Source(MediaSource):
    """A source on such a disk."""

    def __init__(self, size: int, disk: Disk) -> None:
        super().__init__("photo.png", size, PNG)
        self._disk = disk

    def open(self) -> Any:
        return self._disk


def takes_uploads(seen: list[bytes]) -> Callable[[Connection], None]:
    def handle(peer: Connection) -> None:
        while head := read_head(peer):
            lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")]
            left = int(lengths[0].split()[1])
            body = b""
            while left and (data := peer.sock.recv(min(left, 65536))):
                body += data
                left -= len(data)
            seen.append(body)
            peer.sock.sendall(OK)

    return handle


def broken() -> bytes:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("size", [1, 100_000])
def test_an_upload_is_sent_as_it_is(size: int) -> None:
    seen: list[bytes] = []
    content = b"y" * size
    with answering(takes_uploads(seen)) as base, talking(base) as http:
        source = open_source("image", content)
        answer = http.upload(put_call(f"{base}/put?{SECRET}", "image/png", source.size), source)
    assert (answer.body, seen) == (b'{"ok":true}', [content])


def test_a_file_that_grows_is_sent_as_far_as_it_was_announced() -> None:
    seen: list[bytes] = []
    with answering(takes_uploads(seen)) as base, talking(base) as http:
        for _ in range(2):
            source = Source(50_000, Disk(90_000, bytes))
            assert http.upload(put_call(f"{base}/put", None, source.size), source).ok
    assert [len(body) for body in seen] == [50_000, 50_000]


@pytest.mark.parametrize(
    ("then", "message"),
    [(broken, "Input/output error"), (bytes, "photo.png became shorter while it was uploaded")],
)
def test_a_file_that_cannot_be_read_to_its_end_is_no_trouble_of_the_connection(
    then: Callable[[], bytes], message: str
) -> None:
    seen: list[bytes] = []
    with answering(takes_uploads(seen)) as base, talking(base) as http:
        source = Source(50_000, Disk(20_000, then))
        with pytest.raises(OSError, match=message) as caught:
            http.upload(put_call(f"{base}/put?{SECRET}", None, source.size), source)
    assert not isinstance(caught.value, SogniError)
    assert SECRET not in shown(caught.value)


def test_an_upload_whose_connection_breaks_is_a_lost_connection() -> None:
    def leaves(peer: Connection) -> None:
        read_head(peer)
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with answering(leaves) as base, talking(base) as http:
        source = open_source("image", b"y" * 5_000_000)
        with pytest.raises(SogniConnectionError, match=r"cannot reach 127\.0\.0\.1:\d+: "):
            http.upload(put_call(f"{base}/put?{SECRET}", None, source.size), source)


# --- the end


def test_a_closed_client_sends_nothing() -> None:
    with answering(always(OK)) as rest, talking(rest) as http:
        http.send(get("/a"))
        http.close()
        with pytest.raises(ClientClosedError):
            http.send(get("/a"))


def test_a_request_under_way_ends_with_the_client() -> None:
    def handle(peer: Connection) -> None:
        read_head(peer)
        http.close()
        assert peer.sock.recv(1) == b""

    with answering(handle) as rest, talking(rest) as http, pytest.raises(ClientClosedError, match=r"127\.0\.0\.1"):
        http.send(get("/a"))


def test_a_body_without_a_length_that_ends_with_the_client_is_not_taken_for_whole(tmp_path: Path) -> None:
    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of a pic")
        http.close()
        assert peer.sock.recv(1) == b""

    for read in ("send", "download"):
        with answering(handle) as rest, talking(rest) as http, pytest.raises(ClientClosedError):
            if read == "send":
                http.send(get("/a"))
            else:
                http.download(get("/a"), lambda suffix: tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_is_made_too_late_is_of_no_use() -> None:
    connections = Connections()
    with socket.socket() as early, socket.socket() as late:
        connections.track(early)
        connections.track(None)
        connections.end()
        connections.end()
        with pytest.raises(OSError, match="closed"):
            connections.track(late)


def test_a_forked_child_closes_what_it_has_inherited() -> None:
    closed: list[bytes] = []

    def handle(peer: Connection) -> None:
        read_head(peer)
        peer.sock.sendall(OK)
        closed.append(peer.sock.recv(1))

    with answering(handle) as rest, talking(rest) as http:
        http.send(get("/a"))
        http.abandon_after_fork()
    assert closed == [b""]
