"""Certificates, proxies and redirects: one setting serves REST and socket alike, and credentials stay at home."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from cryptography import x509
from PIL import Image

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk, why_not_connected


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
    handlers: set[asyncio.Task[None] | None] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        await handle(reader, writer)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # A closed server does not wait for what its handlers still have open.
        await asyncio.gather(*(task for task in handlers if task is not None), return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def secured(endpoint: str, authority: trustme.CA, host: str) -> AsyncIterator[str]:
    """The same endpoint behind TLS, with a certificate of an authority nobody knows."""
    parts = urlsplit(endpoint)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await join(reader, writer, parts.hostname or "", parts.port or 0)

    async with listening(handle, ssl=context) as port:
        yield f"{parts.scheme}s://{host}:{port}"


@asynccontextmanager
async def proxied(seen: list[str]) -> AsyncIterator[str]:
    """An HTTP proxy that remembers what it was asked for, and resolves every name to this computer."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        seen.append(f"{method} {target.partition('?')[0]}")
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await join(reader, writer, "127.0.0.1", int(target.rpartition(":")[2]))
            return
        parts = urlsplit(target)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", parts.port)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [line for line in head.split(b"\r\n")[1:] if line and not line.lower().startswith(b"connection:")]
        far_writer.write(
            f"{method} {path} HTTP/1.1\r\n".encode() + b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n"
        )
        await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))

    async with listening(handle) as port:
        yield f"http://127.0.0.1:{port}"


def subject_hash(name: x509.Name) -> int:
    """The hash that OpenSSL gives the file of a certificate: of the subject with all strings in lower-case UTF-8."""
    canonical = x509.Name([x509.NameAttribute(part.oid, " ".join(part.value.lower().split())) for part in name])
    # Without the outermost SEQUENCE header.
    return int.from_bytes(hashlib.sha1(canonical.public_bytes()[2:]).digest()[:4], "little")


async def image(sdk: Sdk, client: Any) -> None:
    project = await sdk.create(client)
    assert len(await sdk.call(project.wait_for_completion, timeout=SOON)) == 1
    assert (await sdk.call(project.jobs[0].get_result_data)).startswith(b"\x89PNG")


@asynccontextmanager
async def behind_tls(supernet: LocalSupernet, tmp_path: Path, host: str = "localhost") -> AsyncIterator[dict[str, Any]]:
    authority = trustme.CA()
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    async with (
        secured(supernet.rest_endpoint, authority, host) as rest,
        secured(supernet.socket_endpoint, authority, host) as socket,
    ):
        yield {"rest_endpoint": rest, "socket_endpoint": socket, "ca_bundle": str(bundle)}


async def test_an_own_authority_is_trusted_by_rest_and_socket(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path
) -> None:
    async with behind_tls(supernet, tmp_path) as options, sdk.client(supernet, **options) as client:
        await image(sdk, client)


def without_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


async def test_an_authority_may_be_a_path(sdk: Sdk, supernet: LocalSupernet, tmp_path: Path) -> None:
    async with behind_tls(supernet, tmp_path) as options:
        options["ca_bundle"] = Path(options["ca_bundle"])
        async with sdk.client(supernet, **options) as client:
            await sdk.call(client.account.me)
            await sdk.call(client.connect, timeout=SOON)


async def test_a_directory_of_authorities_is_named_by_its_variable(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with behind_tls(supernet, tmp_path) as options:
        without_authorities(monkeypatch)
        bundle = Path(options.pop("ca_bundle"))
        directory = tmp_path / "authorities"
        directory.mkdir()
        # OpenSSL finds an authority by the hash of its subject.
        name = x509.load_pem_x509_certificate(bundle.read_bytes()).subject
        (directory / f"{subject_hash(name):08x}.0").write_bytes(bundle.read_bytes())
        monkeypatch.setenv("SSL_CERT_DIR", f"/nowhere{os.pathsep}{directory}")
        async with sdk.client(supernet, **options) as client:
            await sdk.call(client.account.me)
            await sdk.call(client.connect, timeout=SOON)


@pytest.mark.parametrize("where", ["setting", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), ("no certificate", "it contains no certificates")]
)
async def test_authorities_that_cannot_be_read_are_named(
    sdk: Sdk,
    supernet: LocalSupernet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    content: str | None,
    reason: str,
) -> None:
    without_authorities(monkeypatch)
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    options: dict[str, Any] = {"rest_endpoint": "https://127.0.0.1:1", "socket_endpoint": "wss://127.0.0.1:1"}
    if where == "setting":
        options["ca_bundle"] = bundle
    else:
        monkeypatch.setenv(where, str(bundle))
    message = f"cannot connect to 127.0.0.1:1: the CA bundle {str(bundle)!r} cannot be read: {reason}"
    async with sdk.client(supernet, **options) as client:
        with pytest.raises(sdk.SogniConnectionError) as rest:
            await sdk.call(client.account.me)
        socket = await why_not_connected(sdk, client)
    assert str(rest.value) == message
    assert message in str(socket)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_the_usual_variables_name_the_authority(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async with behind_tls(supernet, tmp_path) as options:
        without_authorities(monkeypatch)
        monkeypatch.setenv(variable, options.pop("ca_bundle"))
        async with sdk.client(supernet, **options) as client:
            await image(sdk, client)


async def test_an_unknown_authority_is_refused_by_both(sdk: Sdk, supernet: LocalSupernet, tmp_path: Path) -> None:
    async with behind_tls(supernet, tmp_path) as options:
        del options["ca_bundle"]
        async with sdk.client(supernet, **options) as client:
            with pytest.raises(sdk.SogniConnectionError, match=r"(?i)certificate"):
                await sdk.call(client.account.me)
            assert "certificate" in str(await why_not_connected(sdk, client)).lower()


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


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_the_usual_variables_name_the_proxy(
    sdk: Sdk, supernet: LocalSupernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    seen: list[str] = []
    async with behind_tls(supernet, tmp_path, "sogni.test") as options, proxied(seen) as proxy:
        monkeypatch.setenv(variable, proxy)
        async with sdk.client(supernet, **options) as client:
            await sdk.call(client.account.me)
            await sdk.call(client.connect, timeout=SOON)
    hosts = {urlsplit(options[name]).netloc for name in ("rest_endpoint", "socket_endpoint")}
    assert {f"CONNECT {host}" for host in hosts} == set(seen)


PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
NOBODY = "http://me:hush@127.0.0.1:9"


async def use_everything(sdk: Sdk, client: Any) -> None:
    """REST, socket, an upload, a download and a stream of events."""
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "PNG")
    project = await sdk.create(client, starting_image=picture.getvalue(), starting_image_strength=0.5)
    await sdk.call(project.wait, timeout=SOON)
    assert (await sdk.call(project.jobs[0].get_result_data)).startswith(b"\x89PNG")
    run = await sdk.call(client.chat.runs.create, messages=[{"role": "user", "content": "hello"}])
    assert [event async for event in sdk.iterate(client.chat.runs.stream_events(run.run_id))]


@pytest.mark.parametrize("local", [True, False])
async def test_a_service_on_this_computer_is_reached_without_the_proxy_of_the_environment(
    sdk: Sdk, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch, local: bool
) -> None:
    for variable in PROXY_VARIABLES:
        monkeypatch.setenv(variable, NOBODY)
    if local:
        client = await sdk.call(sdk.SogniClient.local) if sdk.blocking else sdk.SogniClient.local()
        await use_everything(sdk, client)
        await sdk.call(client.close)
        return
    async with sdk.client(supernet) as client:
        await use_everything(sdk, client)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "https://api.sogni.test"])
async def test_a_proxy_that_fails_is_named_without_its_credentials(
    sdk: Sdk, supernet: LocalSupernet, endpoint: str
) -> None:
    options = {"rest_endpoint": endpoint, "socket_endpoint": endpoint.replace("http", "ws", 1), "proxy": NOBODY}
    host = urlsplit(endpoint).netloc
    async with sdk.client(supernet, **options) as client:
        with pytest.raises(sdk.SogniConnectionError) as rest:
            await sdk.call(client.account.me)
        socket = await why_not_connected(sdk, client)
    assert str(rest.value) == f"cannot reach {host} through the proxy 127.0.0.1:9: Connection refused"
    assert f"cannot connect to {host} through the proxy 127.0.0.1:9: Connection refused" in str(socket)
    assert "hush" not in str(rest.value) + str(socket)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_a_login_is_named(sdk: Sdk, supernet: LocalSupernet, scheme: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with listening(refuse) as port:
        options = {"rest_endpoint": f"{scheme}://api.sogni.test", "proxy": f"http://me:hush@127.0.0.1:{port}"}
        async with sdk.client(supernet, **options) as client:
            with pytest.raises(sdk.SogniConnectionError) as caught:
                await sdk.call(client.account.me)
    assert str(caught.value) == (
        f"cannot reach api.sogni.test through the proxy 127.0.0.1:{port}: the proxy answered with HTTP 407"
    )


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


async def test_a_local_client_takes_settings_of_both(sdk: Sdk) -> None:
    client = sdk.SogniClient.local(step_time=0, token_type="spark", network="relaxed")
    try:
        project = await sdk.create(client)
        await sdk.call(project.wait, timeout=SOON)
        assert (project.params.token_type, client.current_account.network) == ("spark", "relaxed")
    finally:
        await sdk.call(client.close)


def test_a_local_client_names_the_nearest_option(sdk: Sdk) -> None:
    with pytest.raises(TypeError, match=r"^SogniClient.local\(\) has no option 'step_tim'; did you mean 'step_time'\?"):
        sdk.SogniClient.local(step_tim=0)
