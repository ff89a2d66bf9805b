"""`sogni doctor`."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError

import pytest
from click.testing import Result

from sogni.cli import doctor
from sogni.cli.doctor import clock
from sogni.emulator import LocalSupernet

Run = Callable[..., Result]


def states(result: Result) -> dict[str, list[str]]:
    """The states of the findings, by name."""
    found: dict[str, list[str]] = {}
    for finding in json.loads(result.stdout)["findings"]:
        found.setdefault(finding["name"], []).append(finding["state"])
    return found


def test_a_working_setup(sogni: Run, supernet: LocalSupernet) -> None:
    result = sogni("doctor", "--json")
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (0, True)
    found = states(result)
    found.pop("extras", None)
    assert not {"note", "bad"} & {state for listed in found.values() for state in listed}
    assert {"key", "REST host", "socket host", "clock", "credentials", "balance", "socket"} <= set(found)
    assert supernet.api_key not in result.stdout


def test_every_problem_comes_with_advice(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOGNI_API_KEY", "wrong-key")
    monkeypatch.setenv("SOGNI_APIKEY", "misspelt")
    monkeypatch.setenv("SOGNI_MAX_COST", "5")
    result = sogni("doctor")
    assert result.exit_code == 3
    lines = result.stdout.splitlines()
    for position, line in enumerate(lines):
        if line.startswith(("bad", "note")):
            assert lines[position + 1].strip().startswith("-> "), line
    assert any("SOGNI_APIKEY is set, but nothing reads it; did you mean 'SOGNI_API_KEY'?" in line for line in lines)
    assert sum("nothing reads it" in line for line in lines) == 1
    assert not {"wrong-key", "misspelt"} & set(result.stdout.split())


def test_a_host_that_cannot_be_reached(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SOGNI_REST_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        result = sogni("doctor", "--json")
    assert result.exit_code == 1
    found = {it["name"]: it for it in json.loads(result.stdout)["findings"]}
    assert "Connection refused" in found["REST host"]["detail"]
    assert (found["REST host"]["state"], found["socket host"]["state"]) == ("bad", "ok")
    assert not {"credentials", "balance", "socket"} & set(found)


def test_extras_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"all", "dev"}.isdisjoint(doctor.missing_extras())
    monkeypatch.setattr(doctor, "version", not_installed)
    expected = ["async", "cli", "django", "emulator", "fsspec", "notebook", "vision", "wallet", "yaml"]
    assert set(expected) <= set(doctor.missing_extras())
    monkeypatch.setattr(doctor, "requires", not_installed)
    assert doctor.missing_extras() == []


def not_installed(package: str) -> str:
    raise PackageNotFoundError(package)


def test_invalid_settings(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOGNI_TOKEN_TYPE", "gold")
    result = sogni("doctor", "--json")
    assert (result.exit_code, states(result)["settings"]) == (1, ["bad"])


def test_without_credentials(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOGNI_API_KEY")
    result = sogni("doctor", "--json")
    assert (result.exit_code, states(result)["key"], states(result)["credentials"]) == (3, ["note"], ["bad"])


@pytest.mark.parametrize(
    ("ahead", "state", "detail"),
    [
        (0.2, "ok", "within 1 s of the service's"),
        (-59, "ok", "within 59 s of the service's"),
        (61, "bad", "0:01:01 ahead of the service's"),
        (-7200, "bad", "2:00:00 behind the service's"),
    ],
)
def test_the_clock(ahead: float, state: str, detail: str) -> None:
    assert (clock(ahead).state, clock(ahead).detail) == (state, detail)
