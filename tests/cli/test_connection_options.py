"""Options for the service and the credentials of a command."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from sogni.emulator import LocalSupernet
from tests.cli.conftest import without_cost

Run = Callable[..., Result]
SHORT = ("--frames", "17", "--width", "480", "--height", "480")
COMMANDS = [
    ("image", "a lighthouse"),
    ("video", "a lighthouse", *SHORT),
    ("music", "a shanty", "--duration", "10"),
    ("models",),
    ("estimate", "image"),
    ("estimate", "video"),
    ("estimate", "music"),
    ("account",),
    ("check",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_missing_credentials_are_reported_with_what_to_do(
    sogni: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], supernet: LocalSupernet
) -> None:
    monkeypatch.delenv("SOGNI_API_KEY")
    result = sogni(*command)
    assert (result.exit_code, result.stdout) == (3, "")
    assert without_cost(result.stderr).count("\n") == 1
    assert "SOGNI_API_KEY" in result.stderr
    assert "--local" in result.stderr
    assert supernet.requests == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_wrong_key_is_an_authentication_error(
    sogni: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SOGNI_API_KEY", "wrong-key-of-somebody")
    result = sogni(*command)
    assert result.exit_code == 3
    assert without_cost(result.stderr).count("\n") == 1
    assert "wrong-key-of-somebody" not in result.output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_local_needs_no_credentials(
    sogni: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], supernet: LocalSupernet
) -> None:
    monkeypatch.delenv("SOGNI_API_KEY")
    result = sogni(*command, "--local", "--json")
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")
    assert supernet.requests == []


def test_local_does_not_use_the_proxy_of_the_environment(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    result = sogni("account", "--local", "--json")
    assert (result.exit_code, without_cost(result.stderr)) == (0, "")


def test_the_key_can_be_read_from_a_file(sogni: Run, monkeypatch: pytest.MonkeyPatch, supernet: LocalSupernet) -> None:
    monkeypatch.delenv("SOGNI_API_KEY")
    Path("key").write_text(f"{supernet.api_key}\n")
    assert sogni("account", "--api-key-file", "key").exit_code == 0
    assert sogni("account", "--api-key-file", "-", input=supernet.api_key).exit_code == 0


@pytest.mark.parametrize("content", [b"", b"  \n", b"two words", b"\xff\xfe"])
def test_a_file_without_a_key_is_rejected(sogni: Run, content: bytes) -> None:
    Path("key").write_bytes(content)
    result = sogni("account", "--api-key-file", "key")
    assert result.exit_code == 2
    assert result.stderr.startswith("sogni: --api-key-file: key must contain an API key and nothing else")


def test_a_missing_key_file_is_a_usage_error(sogni: Run) -> None:
    result = sogni("account", "--api-key-file", "none")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_an_unreachable_service_is_named(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("SOGNI_REST_ENDPOINT", f"http://127.0.0.1:{port}")
    result = sogni("account")
    assert result.exit_code == 1
    assert result.stderr.startswith("sogni: ")
    assert f"127.0.0.1:{port}" in result.stderr
    assert without_cost(result.stderr).count("\n") == 1


def test_an_html_response_is_an_error(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v1/account/me", status=200, body="<html>\nwelcome\n</html>", content_type="text/html")
    result = sogni("account")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_an_invalid_url_is_a_usage_error(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOGNI_REST_ENDPOINT", "nowhere")
    result = sogni("models")
    assert result.exit_code == 2
    assert result.stderr.startswith("sogni: rest_endpoint must be a URL")
