"""HTTP in asyncio: credentials stay at home, files stream, errors name host and cause and nothing secret."""

from __future__ import annotations

import asyncio
import contextlib
import io
import traceback
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sogni.core.http import HttpCall, HttpReply, get, post
from sogni.core.projects.uploads import put_call
from sogni.errors import ClientClosedError, SogniConnectionError, SogniError, SogniTimeoutError
from sogni.local.media import MediaSource, open_source
from sogni.settings import TRANSFER_CHUNK
from tests.transport_async.peers import KEY, serving, talking

MEGABYTE = 1024 * 1024
TOKEN = "secret-token"
SIGNED = "X-Amz-Signature=5eec05d27b"


def signed(base: str, path: str = "/file") -> HttpCall:
    return HttpCall(method="GET", path=f"{base}{path}?{SIGNED}", host="storage", repeatable=True)


async def test_a_redirect_to_another_origin_gets_no_credentials() -> None:
    seen: list[str | None] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.headers.get("api-key"))
        return web.json_response({"ok": True})

    async with serving(elsewhere) as other:

        async def home(request: web.Request) -> web.Response:
            seen.append(request.headers.get("api-key"))
            target = "/again" if request.path == "/start" else f"{other}/there"
            return web.Response(status=302, headers={"Location": target})

        async with serving(home) as rest, talking(rest) as http:
            reply = await http.send(get("/start"))
    assert reply.status == 200
    assert reply.url == f"{other}/there"
    assert seen == [KEY, KEY, None]


@pytest.mark.parametrize("told", [True, False])
async def test_of_a_body_that_is_too_long_the_rest_is_not_read(told: bool) -> None:
    async def long(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000000000"} if told else {})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 1024)
        return response

    async with serving(long) as rest, talking(rest) as http:
        call = HttpCall(method="GET", path=f"{rest}/a", host="storage", max_bytes=3000)
        size = len((await http.send(call)).body)
    assert size == 0 if told else 3000 < size < 1_000_000


async def test_a_redirect_can_be_the_answer() -> None:
    async def home(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/b"})

    async with serving(home) as rest, talking(rest) as http:
        call = HttpCall(method="GET", path=f"{rest}/a", host="storage", redirects=False, max_bytes=9)
        assert (await http.send(call)).status == 302


async def test_a_body_is_not_sent_to_another_origin() -> None:
    async def home(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/there"})

    async with serving(home) as rest, talking(rest) as http:
        with pytest.raises(SogniConnectionError, match="redirected a POST request to another host"):
            await http.send(post("/start", {"password": "x"}))


async def test_a_redirect_in_a_circle_ends() -> None:
    async def home(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/start"})

    async with serving(home) as rest, talking(rest) as http:
        with pytest.raises(SogniConnectionError, match="redirected more than 5 times"):
            await http.send(get("/start"))


async def test_a_signed_address_is_sent_as_it_is_and_without_credentials() -> None:
    seen: list[tuple[str, str | None]] = []

    async def storage(request: web.Request) -> web.Response:
        seen.append((request.raw_path, request.headers.get("api-key")))
        return web.Response(body=b"data")

    async with serving(storage) as base, talking(base) as http:
        path = "/a%2Fb%7Ec~d"
        await http.send(HttpCall(method="GET", path=f"{base}{path}?s=%2B%3D+x", host="storage"))
    assert seen == [("/a%2Fb%7Ec~d?s=%2B%3D+x", None)]


async def test_an_upload_streams_with_its_length(tmp_path: Path) -> None:
    size = 40 * MEGABYTE
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(size)
    seen: list[tuple[int, str | None, str | None]] = []

    async def storage(request: web.Request) -> web.Response:
        count = 0
        async for chunk in request.content.iter_any():
            count += len(chunk)
        seen.append((count, request.headers.get("Content-Length"), request.headers.get("Content-Type")))
        return web.Response()

    async with serving(storage) as base, talking(base) as http:
        source = open_source("image", path)
        tracemalloc.start()
        try:
            reply = await http.upload(put_call(f"{base}/put?{SIGNED}", None, source.size), source)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        source.close()
    assert reply.ok
    assert seen == [(size, str(size), None)]
    assert peak < 5 * MEGABYTE


async def test_a_download_streams_to_a_complete_file(tmp_path: Path) -> None:
    piece, count = b"\x89PNG\r\n\x1a\n" + bytes(MEGABYTE - 8), 40

    async def storage(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(piece) * count)})
        await response.prepare(request)
        for _ in range(count):
            await response.write(piece)
        return response

    async with serving(storage) as base, talking(base) as http:
        tracemalloc.start()
        try:
            path = await http.download(signed(base), lambda suffix: tmp_path / f"result{suffix}")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert path == tmp_path / "result.png"
    assert path.stat().st_size == len(piece) * count
    assert peak < 8 * MEGABYTE


async def test_a_download_that_is_cut_off_leaves_no_file(tmp_path: Path) -> None:
    async def storage(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(storage) as base, talking(base) as http:
        with pytest.raises(SogniConnectionError) as caught:
            await http.download(signed(base), lambda suffix: tmp_path / f"result{suffix}")
    assert list(tmp_path.iterdir()) == []
    assert SIGNED not in "".join(traceback.format_exception(caught.value))


async def test_cancelling_a_download_leaves_no_file(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def storage(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        begun.set()
        await asyncio.sleep(10)
        return response

    async with serving(storage) as base, talking(base) as http:
        task = asyncio.create_task(http.download(signed(base), lambda suffix: tmp_path / f"result{suffix}"))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert list(tmp_path.iterdir()) == []


async def test_a_refused_download_gives_the_reply(tmp_path: Path) -> None:
    async def storage(request: web.Request) -> web.Response:
        return web.Response(status=403, text="expired")

    async with serving(storage) as base, talking(base) as http:
        for reply in (
            await http.download(signed(base), lambda suffix: tmp_path / suffix),
            await http.spool(signed(base), "image"),
            await http.open_stream(signed(base)),
        ):
            assert isinstance(reply, HttpReply)
            assert (reply.status, reply.body) == (403, b"expired")


async def test_a_stream_is_read_piece_by_piece_and_closed() -> None:
    async def storage(request: web.Request) -> web.Response:
        return web.Response(body=b"0123456789")

    async with serving(storage) as base, talking(base) as http:
        async with await http.open_stream(signed(base)) as stream:
            assert await stream.read(4) == b"0123"
            assert await stream.read() == b"456789"
            assert await stream.read(4) == b""
        assert stream.closed
        with pytest.raises(ValueError, match="closed"):
            await stream.read()
        await stream.close()


async def test_a_spooled_result_can_be_read_twice() -> None:
    async def storage(request: web.Request) -> web.Response:
        return web.Response(body=b"content")

    async with serving(storage) as base, talking(base) as http:
        source = await http.spool(signed(base), "starting_image")
    assert [source.open().read(), source.open().read()] == [b"content", b"content"]
    source.close()


async def test_a_silent_host_runs_out_of_time() -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(10)
        return web.Response()

    async with serving(silent) as rest, talking(rest, timeouts={"request": 0.05}) as http:
        with pytest.raises(SogniTimeoutError) as caught:
            await http.send(get("/v1/account/me", token=TOKEN))
    assert (caught.value.phase, caught.value.timeout) == ("request", 0.05)
    assert TOKEN not in str(caught.value)


async def test_an_upload_whose_answer_drips_runs_out_of_time() -> None:
    async def drips(request: web.Request) -> web.StreamResponse:
        await request.read()
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while True:
                await answer.write(b".")
                await asyncio.sleep(0.02)
        return answer

    async with serving(drips) as base, talking(base, timeouts={"transfer": 0.1}) as http:
        source = open_source("image", b"\x89PNG\r\n\x1a\n" + b"picture" * 9)
        with pytest.raises(SogniTimeoutError) as caught:
            await http.upload(put_call(f"{base}/file", "image/png", source.size), source)
    assert (caught.value.phase, caught.value.timeout) == ("transfer", 0.1)


async def test_an_upload_that_nobody_takes_runs_out_of_time(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(40 * MEGABYTE)

    async def stuck(request: web.Request) -> web.Response:
        await asyncio.sleep(10)
        return web.Response()

    async with serving(stuck) as base, talking(base, timeouts={"transfer": 0.2}) as http:
        source = open_source("image", path)
        with pytest.raises(SogniTimeoutError) as caught:
            await http.upload(put_call(f"{base}/put?{SIGNED}", None, source.size), source)
    assert caught.value.phase == "transfer"


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
    """A source of an announced size on such a disk; without one it is gone."""

    def __init__(self, size: int, disk: Disk | None) -> None:
        super().__init__("photo.png", size, b"")
        self._disk = disk

    def open(self) -> Any:
        if self._disk is None:
            raise FileNotFoundError(2, "No such file or directory", "photo.png")
        return self._disk


def broken() -> bytes:
    raise OSError(5, "Input/output error")


def closed() -> bytes:
    raise ValueError("read of closed file")


async def takes_uploads(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


@pytest.mark.parametrize("size", [50_000, 3 * TRANSFER_CHUNK])
async def test_a_file_that_grows_is_sent_as_far_as_it_was_announced(size: int) -> None:
    async with serving(takes_uploads) as base, talking(base) as http:
        for _ in range(2):
            source = Source(size, Disk(size + 40_000, bytes))
            assert (await http.upload(put_call(f"{base}/put", None, size), source)).body == str(size).encode()


@pytest.mark.parametrize("size", [50_000, 3 * TRANSFER_CHUNK])
@pytest.mark.parametrize(
    ("then", "kind", "message"),
    [
        (broken, OSError, "Input/output error"),
        (bytes, OSError, "photo.png became shorter while it was uploaded"),
        (closed, ValueError, "read of closed file"),
    ],
)
async def test_a_file_that_cannot_be_read_to_its_end_is_no_trouble_of_the_connection(
    then: Callable[[], bytes], kind: type[Exception], message: str, size: int
) -> None:
    async with serving(takes_uploads) as base, talking(base) as http:
        source = Source(size, Disk(20_000, then))
        with pytest.raises(kind, match=message) as caught:
            await http.upload(put_call(f"{base}/put?{SIGNED}", None, size), source)
        assert (await http.send(get("/a"))).ok
    assert not isinstance(caught.value, SogniError)
    assert SIGNED not in "".join(traceback.format_exception(caught.value))


async def test_a_file_that_is_gone_is_no_trouble_of_the_connection() -> None:
    async with serving(takes_uploads) as base, talking(base) as http:
        with pytest.raises(FileNotFoundError):
            await http.upload(put_call(f"{base}/put", None, 9), Source(9, None))


async def test_an_upload_whose_connection_breaks_is_a_lost_connection() -> None:
    async def leaves(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(leaves) as base, talking(base) as http:
        source = open_source("image", b"y" * 5_000_000)
        with pytest.raises(SogniConnectionError, match=r"cannot reach 127\.0\.0\.1:\d+: "):
            await http.upload(put_call(f"{base}/put?{SIGNED}", None, source.size), source)


async def test_a_host_that_cannot_be_reached_is_named_with_the_cause() -> None:
    async with talking("http://127.0.0.1:1") as http:
        with pytest.raises(SogniConnectionError) as caught:
            await http.send(get("/v1/account/me", token=TOKEN))
    assert str(caught.value) == "cannot reach 127.0.0.1:1: Connection refused"
    shown = "".join(traceback.format_exception(caught.value))
    assert TOKEN not in shown
    assert KEY not in shown


async def test_a_kept_connection_that_the_host_closed_is_replaced() -> None:
    async def home(request: web.Request) -> web.Response:
        assert request.transport is not None
        asyncio.get_running_loop().call_later(0.01, request.transport.close)
        return web.json_response({})

    async with serving(home) as rest, talking(rest) as http:
        for _ in range(3):
            assert (await http.send(get("/"))).ok
            await asyncio.sleep(0.02)


async def test_closing_ends_requests_under_way() -> None:
    begun = asyncio.Event()

    async def silent(request: web.Request) -> web.Response:
        begun.set()
        await asyncio.sleep(10)
        return web.Response()

    async with serving(silent) as rest, talking(rest) as http:
        task = asyncio.create_task(http.send(get("/")))
        await begun.wait()
        await http.close()
        with pytest.raises(ClientClosedError):
            await task
        with pytest.raises(ClientClosedError):
            await http.send(get("/"))


async def test_a_socks_proxy_is_refused_with_the_way_out() -> None:
    async with talking("https://sogni.invalid", proxy="socks5://user:pass@127.0.0.1:1080") as http:
        with pytest.raises(SogniConnectionError, match="socks5, which is not supported with asyncio") as caught:
            await http.send(get("/"))
    assert "pass@" not in str(caught.value)
