"""Certificates, proxies and redirects: one setting serves REST and socket alike, and credentials stay at home."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Carry bytes both ways until both ends are done."""
    far_reader, far_writer = await asyncio.open_connection(host, port)
    await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))
    for one in (writer, far_writer):
        with suppress(OSError):
            await one.wait_closed()


@asynccontextmanager
async def listening(handle: Any, **options: Any) -> AsyncIterator[int]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def secured(endpoint: str, authority: trustme.CA) -> AsyncIterator[str]:
    """The same endpoint behind TLS, with a certificate of an authority nobody knows."""
    parts = urlsplit(endpoint)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await join(reader, writer, parts.hostname or "", parts.port or 0)

    async with listening(handle, ssl=context) as port:
        yield f"{parts.scheme}s://localhost:{port}"


@asynccontextmanager
async def proxied(seen: list[str]) -> AsyncIterator[str]:
    """An HTTP proxy that remembers what it was asked for."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        seen.append(f"{method} {target.partition('?')[0]}")
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            host, _, port = target.partition(":")
            await join(reader, writer, host, int(port))
            return
        parts = urlsplit(target)
        far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [line for line in head.split(b"\r\n")[1:] if line and not line.lower().startswith(b"connection:")]
        far_writer.write(
            f"{method} {path} HTTP/1.1\r\n".encode() + b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n"
        )
        await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))

    async with listening(handle) as port:
        yield f"http://127.0.0.1:{port}"


async def image(sdk: Sdk, client: Any) -> None:
    project = await sdk.create(client)
    assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 1
    assert (await sdk.call(project.jobs[0].get_result_data)).startswith(b"\x89PNG")


@asynccontextmanager
async def behind_tls(supernet: LocalSupernet, tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    authority = trustme.CA()
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    async with (
        secured(supernet.rest_endpoint, authority) as rest,
        secured(supernet.socket_endpoint, authority) as socket,
    ):
        yield {"rest_endpoint": rest, "socket_endpoint": socket, "ca_bundle": str(bundle)}


async def test_an_own_authority_is_trusted_by_rest_and_socket(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path
) -> None:
    async with behind_tls(supernet, tmp_path) as options, sdk.client(supernet, **options) as client:
        await image(sdk, client)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_the_usual_variables_name_the_authority(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async with behind_tls(supernet, tmp_path) as options:
        for other in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(variable, options.pop("ca_bundle"))
        async with sdk.client(supernet, **options) as client:
            await image(sdk, client)


async def test_an_unknown_authority_is_refused_by_both(sdk: Sdk, supernet: LocalSupernet, tmp_path: Path) -> None:
    async with behind_tls(supernet, tmp_path) as options:
        del options["ca_bundle"]
        async with sdk.client(supernet, **options) as client:
            with pytest.raises(sdk.SogniConnectionError, match=r"(?i)certificate"):
                await sdk.call(client.account.me)
            with pytest.raises(sdk.SogniError, match=r"(?i)certificate"):
                await sdk.call(client.connect, timeout=0.5)


async def test_one_proxy_serves_rest_and_socket(sdk: Sdk, supernet: LocalSupernet, tmp_path: Path) -> None:
    seen: list[str] = []
    async with (
        behind_tls(supernet, tmp_path) as options,
        proxied(seen) as proxy,
        sdk.client(supernet, **options, proxy=proxy) as client,
    ):
        await image(sdk, client)
    hosts = {urlsplit(options[name]).netloc for name in ("rest_endpoint", "socket_endpoint")}
    assert {f"CONNECT {host}" for host in hosts} <= set(seen)


async def test_the_usual_variables_name_the_proxy(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    async with behind_tls(supernet, tmp_path) as options, proxied(seen) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        async with sdk.client(supernet, **options) as client:
            await image(sdk, client)
        used = len(seen)
        monkeypatch.setenv("NO_PROXY", "localhost")
        async with sdk.client(supernet, **options) as client:
            await image(sdk, client)
    assert used >= 2
    assert len(seen) == used


async def test_credentials_do_not_follow_a_redirect_to_another_origin(sdk: Sdk, supernet: LocalSupernet) -> None:
    heads: list[str] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        body = b'{"status":"success","data":{"sogni":{"net":"1"},"spark":{"net":"2"}}}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with listening(elsewhere) as port:

        async def moved(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
            location = f"http://127.0.0.1:{port}/balance".encode()
            writer.write(
                b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            await writer.drain()
            writer.close()

        async with listening(moved) as first, sdk.client(supernet, rest_endpoint=f"http://127.0.0.1:{first}") as client:
            balance = await sdk.call(client.account.account_balance)
    assert balance.spark.net == 2
    assert ["api-key" in head for head in heads] == [True, False]
