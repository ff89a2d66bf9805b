"""The command `sogni mcp`: its options. `tests/mcp` uses what it serves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from sogni.cli.mcp import mcp
from tests.tables import each_row

for _name in ("mcp", "uvicorn"):
    pytest.importorskip(_name, reason="the extra 'mcp' is not installed")

Run = Callable[..., Result]


@each_row(
    "options, message",
    [
        (("--max-cost", "much"), "must be an amount of 0 or more, or none, got 'much'"),
        (("--max-cost-per-day", "-1"), "must be an amount of 0 or more, or none, got '-1'"),
        (("--ask-above", "nan"), "must be an amount of 0 or more, or none, got 'nan'"),
        (("--root", "missing"), "Directory 'missing' does not exist"),
        (("--token", "gold"), "'gold' is not one of"),
        (("--wait", "-1"), "-1.0 is not in the range"),
        (("--max-calls", "0"), "0 is not in the range"),
        (("--port", "70000"), "70000 is not in the range"),
    ],
)
def test_invalid_options_are_usage_errors(sogni: Run, options: tuple[str, ...], message: str) -> None:
    result = sogni("mcp", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_folder_may_be_named_from_the_home_directory(
    sogni: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "pictures")
    monkeypatch.setenv("HOME", str(tmp_path))
    roots = mcp.make_context("mcp", ["--root", "~/linked"]).params["roots"]
    assert roots == (tmp_path / "pictures",)
    assert f"Directory '{tmp_path}/nothing' does not exist" in sogni("mcp", "--root", "~/nothing").stderr


def test_keys_that_could_be_guessed_are_refused(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("short", "with spaces in between", "schlüssel-der-zu-dem-server-passt"):
        monkeypatch.setenv("SOGNI_MCP_KEY", key)
        result = sogni("mcp", "--http", "--local")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "SOGNI_MCP_KEY must have at least 16 characters" in result.stderr
        assert key not in result.stderr


def test_a_missing_extra_is_named(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    result = sogni("mcp")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "'sogni mcp' needs mcp, which is not installed: pip install 'sogni[mcp]'" in result.stderr


def test_without_credentials_the_reason_is_printed(sogni: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SOGNI_API_KEY", raising=False)
    result = sogni("mcp", env={"SOGNI_API_KEY": ""})
    assert (result.exit_code, result.stdout) == (3, "")
    assert "no credentials" in result.stderr
