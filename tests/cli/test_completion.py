"""`sogni completion`, with the scripts in real shells."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from sogni.cli import known_names
from sogni.emulator import LocalSupernet
from tests.forkserver import ROOT

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the names that completion knows."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sogni" / known_names.FILE_NAME


@pytest.fixture
def complete(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Complete the last of some words as the program does when the script of bash starts it."""

    def run(*words: str) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setenv("_SOGNI_COMPLETE", "bash_complete")
            patch.setenv("COMP_WORDS", shlex.join(("sogni", *words[:-1])) + f" {words[-1]}")
            patch.setenv("COMP_CWORD", str(len(words)))
            result = sogni()
        assert (result.exit_code, result.stderr) == (0, "")
        return [line.partition(",")[2] or line.partition(",")[0] for line in result.stdout.splitlines() if line]

    return run


@pytest.fixture
def environment(reach: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The variables of a shell that finds the program."""
    program = tmp_path / "sogni"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sogni "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), **reach}


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


def output(command: list[str], environment: dict[str, str], tmp_path: Path) -> str:
    """What a shell prints."""
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@needs("bash")
def test_bash_completes_the_names_of_models(environment: dict[str, str], tmp_path: Path, cache: Path) -> None:
    script = (
        'eval "$(sogni completion bash)"\n'
        "COMP_WORDS=(sogni image --model flux1-s); COMP_CWORD=3\n"
        "_sogni_completion sogni image --model\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environment["SOGNI_LOG"] = "debug"
    assert output(["bash", "--norc", "-c", script], environment, tmp_path) == "flux1-schnell-fp8\n"
    assert json.loads(cache.read_text())["endpoint"] == environment["SOGNI_REST_ENDPOINT"]


@pytest.mark.integration
@needs("zsh")
def test_zsh_completes_what_is_typed(environment: dict[str, str], tmp_path: Path) -> None:
    output(["sogni", "models"], environment, tmp_path)  # keeps the names
    # An interactive zsh on a terminal of its own. Its `sogni` prints the completed line when Enter is pressed.
    script = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'autoload -Uz compinit && compinit -D -u; eval "$(sogni completion zsh)"'
zpty -w shell 'sogni() { print -r "li""ne: $*" }'
for typed in 'sogni mod' 'sogni image --tok' 'sogni image --model flux1-s'; do
    zpty -w shell $typed$'\t'
    zpty -r shell seen $'*line: *\r\n*'
    print -r -- ${${seen##*line: }%%$'\r\n'*}
done
zpty -d shell
"""
    lines = output(["zsh", "-f", "-c", script], environment, tmp_path).splitlines()
    assert lines == ["models", "image --token", "image --model flux1-schnell-fp8"]


@pytest.mark.integration
@needs("fish")
def test_fish_completes_what_is_typed(environment: dict[str, str], tmp_path: Path) -> None:
    output(["sogni", "models"], environment, tmp_path)  # keeps the names
    script = tmp_path / ".config/fish/completions/sogni.fish"
    script.parent.mkdir(parents=True)
    script.write_text(output(["sogni", "completion", "fish"], environment, tmp_path))
    typed = ("sogni mod", "sogni image --tok", "sogni image --model flux1-s")
    shown = "; ".join(f"complete -C {shlex.quote(line)}" for line in typed)
    environment["XDG_CONFIG_HOME"] = str(tmp_path / ".config")
    lines = output(["fish", "-c", shown], environment, tmp_path).splitlines()
    assert [line.partition("\t")[0] for line in lines if line] == ["models", "--token", "flux1-schnell-fp8"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_say_how_to_install_them(sogni: Run, shell: str) -> None:
    result = sogni("completion", shell)
    first, second, *script = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    if shell == "zsh":
        assert first == "#compdef sogni"
        first = second
    assert first.startswith("# To install: ")
    assert any(f"_SOGNI_COMPLETE={shell}_complete" in line for line in script)


def test_names_fit_the_command(complete: Callable[..., list[str]], supernet: LocalSupernet) -> None:
    assert "ace_step_1.5_turbo" in complete("music", "--model", "")
    assert "ace_step_1.5_turbo" not in complete("image", "--model", "")
    krea = complete("image", "--lora", "")
    assert "krea2-ink-wash" in krea
    assert complete("image", "--model", "flux1-schnell-fp8", "--lora", "") == ["flux-age-slider"]
    assert "flux-age-slider" not in krea
    assert complete("lora", "show", "flux-a") == ["flux-age-slider"]
    assert complete("image", "a fox", "--starting-image", "fo") == ["fo"]
    assert complete("speech", "@-", "--voi") == ["--voice"]
    # Once for each kind of names: they are kept.
    assert len(supernet.requests) == 2


def test_listing_refreshes_the_names(sogni: Run, complete: Callable[..., list[str]], supernet: LocalSupernet) -> None:
    for arguments in (("models", "--all"), ("lora", "list")):
        assert sogni(*arguments).exit_code == 0
    before = len(supernet.requests)
    assert complete("image", "--model", "flux1-s") == ["flux1-schnell-fp8"]
    assert complete("lora", "show", "krea2-ink") == ["krea2-ink-wash"]
    assert len(supernet.requests) == before


def test_a_chat_refreshes_the_names_of_language_models(sogni: Run, complete: Callable[..., list[str]]) -> None:
    assert complete("chat", "--model", "qwen3-vl") == []
    assert sogni("chat", "hello").exit_code == 0
    assert complete("chat", "--model", "qwen3-vl-4b") == ["qwen3-vl-4b-instruct-fp8"]


def test_a_command_with_an_emulator_of_its_own_keeps_no_names(sogni: Run, cache: Path) -> None:
    assert sogni("lora", "list", "--local").exit_code == 0
    assert not cache.exists()


def test_without_the_service_completion_is_silent(
    complete: Callable[..., list[str]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_names, "FETCH_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("SOGNI_REST_ENDPOINT", endpoint)
        monkeypatch.setenv("SOGNI_SOCKET_ENDPOINT", endpoint)
        assert complete("image", "--model", "f") == []
    requested = json.loads(cache.read_text())["models"]["requested"]
    # Not asked again for a while.
    assert complete("image", "--model", "f") == []
    assert json.loads(cache.read_text())["models"]["requested"] == requested
    cache.write_text(json.dumps({"endpoint": endpoint, "models": {"names": ["a"]}}))
    assert complete("image", "--model", "f") == []
    monkeypatch.setenv("SOGNI_TOKEN_TYPE", "gold")
    assert complete("image", "--model", "f") == []
