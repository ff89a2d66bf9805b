"""`--output-dir` with the URL of a storage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from sogni.emulator import LocalSupernet
from tests.cli.conftest import requested
from tests.storages import empty_memory

pytest.importorskip("fsspec", reason="fsspec is not installed")

Sogni = Callable[..., Result]


@pytest.fixture(autouse=True)
def memory() -> Iterator[Any]:
    with empty_memory() as file_system:
        yield file_system


def test_commands_save_to_a_url_and_print_those_of_the_objects(
    sogni: Sogni, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    size = ("--width", "256", "--height", "256")
    first = sogni("image", "a kite", *size, "--output-dir", "memory://out", "--name", "kite", "--open")
    assert (first.exit_code, first.stdout) == (0, "memory://out/kite.png\n")
    assert "sogni: memory://out/kite.png cannot be opened: it is not a local file\n" in first.stderr
    sogni("config", "set", "output_dir", "memory://profile")
    second = sogni("image", "a kite", *size, "--json")
    document = json.loads(second.stdout)
    assert document["files"] == [f"memory://profile/{document['id']}-0.png"]
    third = sogni("project", "save", document["id"], "-o", "memory://later")
    assert third.stdout == f"memory://later/{document['id']}-0.png\n"
    assert len(memory.find("/")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


def test_an_invalid_url_is_refused_before_anything_is_sent(sogni: Sogni, supernet: LocalSupernet) -> None:
    (Path.cwd() / "prompts.txt").write_text("a kite\n")
    for arguments, why in (
        (("image", "a kite", "-o", "unheard-of://x"), "directory must be a URL whose protocol fsspec can write"),
        (("chat", "hello", "--tools", "-o", "ftp://ada:hush@host/x"), "directory must be a URL without a password"),
        (("batch", "prompts.txt", "-o", "memory://x"), "directory must be a directory, because the journal"),
    ):
        result = sogni(*arguments)
        assert (result.exit_code, why in result.stderr, "hush" in result.stderr) == (2, True, False), result.stderr
    assert requested(supernet) == []
