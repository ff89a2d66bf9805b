"""The command `sogni serve`: its options, and its life as a process."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest
import requests
from click.testing import Result

from tests.forkserver import Process
from tests.tables import each_row

for _name in ("starlette", "uvicorn", "python_multipart"):
    pytest.importorskip(_name, reason="the extra 'serve' is not installed")

Run = Callable[..., Result]


@each_row(
    "options, message",
    [
        (("--alias", "gpt-4o"), "must be NAME=MODEL, got 'gpt-4o'"),
        (("--voice", "=ryan"), "must be NAME=VOICE, got '=ryan'"),
        (("--max-cost-per-day", "much"), "must be a number of 0 or more, got 'much'"),
        (("--max-requests", "0"), "0 is not in the range"),
        (("--port", "70000"), "70000 is not in the range"),
    ],
)
def test_invalid_options_are_usage_errors(sogni: Run, options: tuple[str, ...], message: str) -> None:
    result = sogni("serve", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_keys_that_could_be_guessed_are_refused(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("short", "with spaces in between", "schlüssel-der-zu-dem-server-passt"):
        monkeypatch.setenv("SOGNI_SERVE_KEY", key)
        result = sogni("serve", "--local")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "SOGNI_SERVE_KEY must have at least 16 characters" in result.stderr
        assert key not in result.stderr


def printed(process: Process) -> dict[str, Any]:
    lines = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
        assert lines[-1], process.communicate(timeout=30)
    return json.loads("".join(lines))


@pytest.mark.integration
def test_serves_until_a_signal(start: Callable[..., Process]) -> None:
    process = start("serve", "--port", "0", "--json", "--max-cost-per-request", "0")
    found = printed(process)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", found["baseUrl"])
    headers = {"Authorization": f"Bearer {found['apiKey']}"}
    models = requests.get(f"{found['baseUrl']}/models", headers=headers, timeout=30)
    assert models.json()["object"] == "list"
    body = {"model": "qwen3.6-35b-a3b-gguf-iq4xs", "messages": [{"role": "user", "content": "hi"}]}
    refused = requests.post(f"{found['baseUrl']}/chat/completions", json=body, headers=headers, timeout=30)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "spending_limit_exceeded")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (0, "")
    assert "status=429" in stderr
    assert found["apiKey"] not in stderr
    assert "Traceback" not in stderr


@pytest.mark.integration
def test_taken_port_is_an_error_of_one_line(start: Callable[..., Process]) -> None:
    first = start("serve", "--port", "0", "--json", env_extra={"SOGNI_SERVE_KEY": "a-key-that-is-long"})
    found = printed(first)
    assert list(found) == ["baseUrl"]
    port = found["baseUrl"].rpartition(":")[2].partition("/")[0]
    stdout, stderr = start("serve", "--port", port).communicate(timeout=30)
    assert (stdout, "ddress already in use" in stderr, stderr.count("\n")) == ("", True, 1)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)
    assert first.returncode == 0
