"""`sogni config`, `--profile` and SOGNI_PROFILE."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import Result

from sogni.cli import profiles
from sogni.emulator import LocalSupernet
from tests.cli.conftest import requested
from tests.tables import each_row

Run = Callable[..., Result]
KEY = "sk-0123456789abcdefWXYZ"


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the profiles."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "config" / "sogni" / profiles.FILE_NAME


@pytest.fixture
def unset(sogni: Run, reach: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment variable leads to the Supernet."""
    for name in reach:
        monkeypatch.delenv(name)


def ok(result: Result) -> str:
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def test_settings_are_kept_and_the_key_is_never_printed(sogni: Run, path: Path, tmp_path: Path) -> None:
    ok(sogni("config", "set", "api_key", "--file", "-", input=f"{KEY}\n"))
    ok(sogni("--profile", "work", "config", "set", "network", "relaxed"))
    ok(sogni("--profile", "work", "config", "set", "output_dir", "out"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listed = ok(sogni("config", "list"))
    assert listed.splitlines() == [
        "default\tapi_key\t…WXYZ",
        "work\tnetwork\trelaxed",
        f"work\toutput_dir\t{tmp_path / 'out'}",
    ]
    document = ok(sogni("config", "list", "--json"))
    assert json.loads(document)["profiles"]["default"] == {"api_key": "…WXYZ"}
    assert ok(sogni("config", "get", "api_key")) == "…WXYZ\n"
    assert KEY not in listed + document
    assert ok(sogni("config", "get", "network", env={"SOGNI_PROFILE": "work"})) == "relaxed\n"
    ok(sogni("config", "unset", "api_key"))
    assert "default" not in profiles.load(path)


@each_row(
    ("arguments", "words"),
    [
        (("config", "set", "api_key", KEY), "VALUE must be omitted for api_key"),
        (("config", "set", "network", "slow"), "network must be one of 'fast', 'relaxed', got 'slow'"),
        (("config", "set", "rest_endpoint", "ftp://x"), "rest_endpoint must be a URL"),
        (("config", "set", "network"), "VALUE is missing for network"),
        (("config", "set", "network", "fast", "--file", "-"), "--file is only for api_key"),
        (("config", "set", "output_dir", ""), "output_dir must be a directory"),
        (("config", "set", "colour", "red"), "'colour' is not one of"),
        (("--profile", "a b", "config", "set", "network", "fast"), "must consist of letters, digits, - and _"),
        (("--profile", "none", "models"), "no profile 'none' in"),
    ],
)
def test_mistakes_are_usage_errors(sogni: Run, path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = sogni(*arguments)
    assert (result.exit_code, result.stdout, words in result.stderr) == (2, "", True), result.stderr
    assert KEY not in result.stderr
    assert not path.exists()


def test_what_is_not_set_is_a_failure(sogni: Run) -> None:
    for command in ("get", "unset"):
        result = sogni("config", command, "network")
        assert (result.exit_code, "the profile 'default' has no network" in result.stderr) == (1, True)


def test_an_option_outranks_the_environment_and_that_the_profile(
    sogni: Run, unset: None, supernet: LocalSupernet, reach: dict[str, str], tmp_path: Path
) -> None:
    values = {
        "rest_endpoint": supernet.rest_endpoint,
        "socket_endpoint": supernet.socket_endpoint,
        "token_type": "spark",
        "network": "relaxed",
        "output_dir": "kept",
    }
    for name, value in values.items():
        ok(sogni("--profile", "work", "config", "set", name, value))
    ok(sogni("--profile", "work", "config", "set", "api_key", "--file", "-", input=supernet.api_key))
    quiet = ("--quiet", "--profile", "work", "image", "a fox", "--name", "it")
    assert ok(sogni(*quiet)) == f"{tmp_path / 'kept' / 'it.png'}\n"
    assert ok(sogni(*quiet, "--network", "fast", "-o", ".", env={"SOGNI_TOKEN_TYPE": "sogni"})) == "it.png\n"
    assert [(it["network"], it["tokenType"]) for it in requested(supernet)] == [("relaxed", "spark"), ("fast", "sogni")]
    wrong = sogni("--profile", "work", "account", env={"SOGNI_API_KEY": "wrong"})
    assert wrong.exit_code == 3
    Path("key").write_text("wrong")
    assert sogni("--profile", "work", "account", "--api-key-file", "key").exit_code == 3


def test_the_doctor_shows_the_profile_and_where_values_come_from(sogni: Run, reach: dict[str, str]) -> None:
    ok(sogni("config", "set", "rest_endpoint", "https://unused.example"))
    ok(sogni("config", "set", "network", "relaxed"))
    found = {it["name"]: it for it in json.loads(sogni("doctor", "--json").stdout)["findings"]}
    assert found["profile"]["detail"].endswith("rest_endpoint from SOGNI_REST_ENDPOINT, network from the profile")
    assert found["key"]["detail"] == "from SOGNI_API_KEY"
    ok(sogni("config", "set", "api_key", "--file", "-", input=reach["SOGNI_API_KEY"]))
    found = {
        it["name"]: it for it in json.loads(sogni("doctor", "--json", env={"SOGNI_API_KEY": ""}).stdout)["findings"]
    }
    assert (found["key"]["detail"], found["credentials"]["state"]) == ("from the profile 'default'", "ok")


@pytest.mark.parametrize("content", [b"\xff", b"[default", b'default = "x"', b"[default]\nnetwork = 1"])
def test_a_damaged_file_is_reported_without_its_content(sogni: Run, path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    result = sogni("models")
    assert (result.exit_code, str(path) in result.stderr) == (2, True)
    path.write_text('[default]\nnetwork = "slow"\n')
    assert "network must be one of" in sogni("models").stderr
    path.write_text('[default]\nnetwrk = "fast"\n')
    assert "there is no setting 'netwrk'; did you mean 'network'?" in sogni("models").stderr


def test_any_value_survives_the_file(path: Path) -> None:
    values = {"default": {"output_dir": 'a "b"\\c\n\x7f\x01ü'}}
    profiles.save(path, values)
    assert profiles.load(path) == values
    assert [it.name for it in path.parent.iterdir()] == [path.name]


def test_without_a_home_there_are_no_profiles(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles.platformdirs, "PlatformDirs", lambda *_, **__: _Nowhere())
    assert profiles.find_path() is None
    assert profiles.load(None) == {}
    assert "set HOME or XDG_CONFIG_HOME" in sogni("config", "set", "network", "fast").stderr


class _Nowhere:
    user_config_path = user_cache_path = Path("relative")
    user_state_path = Path(os.devnull)
