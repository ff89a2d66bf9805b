"""`sogni`, `models`, `estimate`, `account`, `check`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result

import sogni as library
from sogni.cli.estimate import format_price
from sogni.cli.exit_codes import AUTHENTICATION, FAILED
from sogni.emulator import LocalSupernet, Membership
from sogni.logs import logger
from sogni.models.projects import CostEstimation
from tests.cli.conftest import uploaded

Run = Callable[..., Result]


def test_version(sogni: Run) -> None:
    assert sogni("--version").stdout == f"sogni {library.__version__}\n"


def test_help_is_printed_without_a_command(sogni: Run) -> None:
    result = sogni()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        *[(), ("image",), ("video",), ("music",), ("models",), ("account",), ("check",), ("doctor",), ("emulator",)],
        ("serve",),
        *[("batch",), ("login",), ("logout",)],
        *[("estimate",), ("estimate", "image"), ("estimate", "video"), ("estimate", "music")],
        *[("workflow", it) for it in ("start", "watch", "list", "get", "save", "cancel", "resume", "reseed", "check")],
        *[("template", it) for it in ("list", "get", "create", "update", "delete", "fork")],
        *[("workflow",), ("template",), ("replay",), ("replay", "list"), ("replay", "get")],
        *[("lora",), ("lora", "list"), ("lora", "show"), ("speech",), ("upscale",), ("3d",)],
    ],
)
def test_every_command_has_help(sogni: Run, command: tuple[str, ...]) -> None:
    result = sogni(*command, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: {' '.join(['sogni', *command])} ")
    assert f"  Example: {' '.join(['sogni', *command])}" in result.stdout


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("imag",), "sogni: No such command 'imag'"),
        (("estimate",), "sogni: Missing command; see 'sogni estimate --help'\n"),
        (("image",), "sogni: Missing argument 'PROMPT'; see 'sogni image --help'\n"),
        (("--nothing",), "sogni: No such option"),
    ],
)
def test_usage_errors_are_one_line(sogni: Run, command: tuple[str, ...], told: str) -> None:
    result = sogni(*command)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(told)


def test_models_are_those_with_workers(sogni: Run) -> None:
    rows = [line.split("\t") for line in sogni("models").stdout.splitlines()]
    assert ["flux1-schnell-fp8", "4", "image", "Flux.1 [schnell]"] in rows
    assert all(int(workers) > 0 for _, workers, _, _ in rows)


def test_models_can_be_all_of_one_medium(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.withdraw_model("minimax_music3")
    served = json.loads(sogni("models", "--media", "audio", "--json").stdout)
    found = json.loads(sogni("models", "--all", "--media", "audio", "--json").stdout)
    assert {row["media"] for row in found} == {"audio"}
    assert [row for row in found if row["workerCount"]] == served
    assert "ace_step_1.5_turbo" in {row["id"] for row in served}
    assert len(served) < len(found)


def test_models_of_a_network(sogni: Run, supernet: LocalSupernet) -> None:
    sogni("models", "--network", "relaxed")
    assert any("/network/relaxed/" in getattr(it, "path", "") for it in supernet.requests)


@pytest.mark.parametrize(
    ("command", "headings"),
    [
        ("chat", ["Options:", "Output and service:"]),
        ("image", ["Project:", "Files:", "Only for some models:", "Output and service:"]),
        ("video", ["Project:", "Files:", "Only for some models:", "Output and service:"]),
        ("speech", ["Project:", "Output and service:"]),
    ],
)
def test_help_lists_options_in_groups(sogni: Run, command: str, headings: list[str]) -> None:
    shown = [line for line in sogni(command, "--help").stdout.splitlines() if re.fullmatch(r"[A-Z].*:", line)]
    assert headings == shown


def test_estimate_is_one_line_with_the_paying_token_first(sogni: Run) -> None:
    assert sogni("estimate", "image").stdout == "0.24 Sogni (0.48 Spark, 0.0024 USD)\n"
    assert sogni("estimate", "image", "--token", "spark").stdout == "0.48 Spark (0.24 Sogni, 0.0024 USD)\n"


def test_an_estimate_names_the_token_of_the_model_or_the_client(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sogni("estimate", "image", "--model", "gpt-image-2").stdout.startswith("8.5 Spark (")
    monkeypatch.setenv("SOGNI_TOKEN_TYPE", "spark")
    assert sogni("estimate", "image").stdout == "0.48 Spark (0.24 Sogni, 0.0024 USD)\n"


def test_estimates_of_media_follow_their_options(sogni: Run, supernet: LocalSupernet) -> None:
    assert sogni("estimate", "video").stdout == "1.6 Sogni (3.2 Spark, 0.016 USD)\n"
    assert sogni("estimate", "video", "--duration", "10").stdout == "3.1802 Sogni (6.3604 Spark, 0.031802 USD)\n"
    assert sogni("estimate", "music", "-n", "3").stdout == "1.2 Sogni (2.4 Spark, 0.012 USD)\n"
    # No file is opened or sent.
    given = ("--reference-image", "none.png", "--reference-audio", "none.mp3")
    assert sogni("estimate", "video", "a keeper", *given).exit_code == 0
    assert uploaded(supernet) == []


def test_estimate_in_json(sogni: Run) -> None:
    document = json.loads(sogni("estimate", "image", "a lighthouse", "-n", "4", "--json").stdout)
    assert document["token"] == "0.96"


def test_unknown_parts_of_an_estimate_are_omitted() -> None:
    assert format_price(CostEstimation(token=Decimal("1")), "sogni") == "1 Sogni"
    assert format_price(CostEstimation(usd=Decimal("0.5")), "spark") == "unknown (0.5 USD)"


def test_account(sogni: Run) -> None:
    rows = dict(line.split("\t") for line in sogni("account").stdout.splitlines())
    assert (rows["username"], rows["Spark"]) == ("local-artist", "10000")
    document = json.loads(sogni("account", "--json").stdout)
    assert document["account"]["username"] == "local-artist"
    assert document["balance"]["sogni"]["net"] == "10000"


def test_account_usage(sogni: Run, supernet: LocalSupernet) -> None:
    assert dict(line.split("\t") for line in sogni("account", "usage").stdout.splitlines())["jobs"] == "0"
    supernet.set_subscription(Membership(status="trialing", trial_ends=1_900_000_000))
    rows = dict(line.split("\t") for line in sogni("account", "usage").stdout.splitlines())
    assert (rows["trial until"], rows["trial credits used"]) == ("2030-03-17", "0 of 500")
    assert json.loads(sogni("account", "usage", "--json").stdout)["trialCreditsLimit"] == "500"


def test_check_covers_credentials_balance_and_socket(sogni: Run) -> None:
    result = sogni("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["ok", "credentials:"], ["ok", "balance:"], ["ok", "socket:"],
    ]  # fmt: skip
    assert json.loads(sogni("check", "--json").stdout)["ok"] is True


def test_check_distinguishes_a_wrong_key_from_a_failing_service(
    sogni: Run, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet.faults.http("/v4/account/balance", status=400, message="Not today")
    result = sogni("check")
    assert (result.exit_code, result.stderr) == (FAILED, "sogni: failed: balance\n")
    assert "Not today" in result.stdout
    monkeypatch.setenv("SOGNI_API_KEY", "wrong")
    assert sogni("check", "--json").exit_code == AUTHENTICATION


def test_a_mistake_found_by_the_service_is_a_failure(sogni: Run, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v1/account/me", status=400, message="Not like this")
    result = sogni("account")
    assert result.exit_code == FAILED
    assert result.stderr.startswith("sogni: HTTP 400: Not like this")


@pytest.mark.parametrize(
    "options",
    [
        ("--spark", "much"),
        ("--sogni", "-1"),
        ("--step-time", "-1"),
        ("--clock", "soon"),
        ("--clock", "0"),
        ("--load-time", "-1"),
        ("--token-rate", "-1"),
        ("--rest-port", "x"),
    ],
)
def test_invalid_emulator_options_are_usage_errors(sogni: Run, options: tuple[str, ...]) -> None:
    result = sogni("emulator", *options)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert options[0] in result.stderr


@pytest.mark.parametrize("options", [("--clock", "instant", "--step-time", "1"), ("--step-time", "nan")])
def test_what_an_emulator_refuses_is_a_usage_error(sogni: Run, options: tuple[str, ...]) -> None:
    result = sogni("emulator", *options)
    assert (result.exit_code, result.stderr[:24]) == (2, "sogni: step_time must be")
    assert result.stderr.endswith("; see 'sogni emulator --help'\n")


def test_two_emulators_do_not_share_a_directory(sogni: Run, tmp_path: Path) -> None:
    with LocalSupernet(data=tmp_path / "data"):
        result = sogni("emulator", "--data", str(tmp_path / "data"))
    assert result.exit_code == FAILED
    assert "another emulator" in result.stderr


def test_verbose_logs_to_standard_error(sogni: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    result = sogni("-v", "image", "a kite", "--width", "512", "--height", "512")
    assert result.exit_code == 0
    assert "sogni INFO: connected to 127.0.0.1:" in result.stderr
    assert "DEBUG" not in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_quiet_prints_results_and_errors_only(sogni: Run) -> None:
    assert sogni("--quiet", "check").stderr == ""
    failed = sogni("--quiet", "image", "a kite", "--steps", "0")
    assert (failed.exit_code, failed.stderr.count("\n")) == (2, 1)
    assert sogni("--quiet", "-v", "check").exit_code == 2
