"""`sogni lora`, and `sogni image --lora`."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from sogni.emulator import LocalSupernet, Membership
from tests.cli.conftest import requested

Run = Callable[..., Result]


def rows(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.stderr
    return [line.split("\t") for line in result.stdout.splitlines()]


def test_loras_are_listed_with_their_strengths(sogni: Run, supernet: LocalSupernet) -> None:
    (listed,) = rows(sogni("lora", "list", "--model", "flux1-schnell-fp8"))
    models = "flux1-schnell-fp8, flux1-krea-dev_fp8_scaled"
    assert listed == ["flux-age-slider", "Age Slider", "-5 to 5", "2", models]
    document = json.loads(sogni("lora", "list", "--json").stdout)
    assert {lora["loraId"] for lora in document["loras"]} > {"flux-age-slider", "krea2-ink-wash"}
    denied = sogni("lora", "list", "--personal")
    assert (denied.exit_code, "need an active plan" in denied.stderr) == (1, True)
    supernet.set_subscription(Membership())
    assert sogni("lora", "list", "--personal").exit_code == 0


def test_a_lora_is_shown_with_what_it_needs(sogni: Run) -> None:
    shown = {line[0]: line[1] for line in rows(sogni("lora", "show", "krea2-detail-slider"))}
    assert (shown["name"], shown["strength"], shown["lowest"]) == ("Detail Slider", "-3 to 3", "less detail")
    mature = {line[0]: line[1] for line in rows(sogni("lora", "show", "wan22-embrace"))}
    assert mature["content filter"] == "must be off (--no-filter)"
    assert json.loads(sogni("lora", "show", "wan22-embrace", "--json").stdout)["ui"]["sexual"]
    unknown = sogni("lora", "show", "none")
    assert (unknown.exit_code, unknown.stderr) == (1, "sogni: there is no LoRA 'none'; 'sogni lora list' lists them\n")


def test_loras_and_their_strengths_reach_the_service(sogni: Run, supernet: LocalSupernet) -> None:
    chosen = ("--lora", "krea2-ink-wash", "--lora", "krea2-detail-slider:-1.5", "--lora", "krea2-ink-wash")
    assert sogni("image", "a heron", *chosen).exit_code == 0
    frame = requested(supernet)[0]["keyFrames"][0]
    assert frame["loras"] == ["krea2-ink-wash", "krea2-detail-slider", "krea2-ink-wash"]
    assert frame["loraStrengths"] == [1, -1.5]
    assert sogni("image", "a heron", "--lora", "krea2-ink-wash").exit_code == 0
    assert "loraStrengths" not in requested(supernet)[1]["keyFrames"][0]


def test_a_wrong_lora_is_a_usage_error(sogni: Run, supernet: LocalSupernet) -> None:
    results = [sogni("image", "a heron", "--lora", it) for it in ("krea2-ink", "krea2-ink-wash:2")]
    assert [(it.exit_code, it.stderr) for it in results] == [
        (2, "sogni: --lora: the service knows no LoRA 'krea2-ink'; did you mean 'krea2-ink-wash'?\n"),
        (2, "sogni: --lora must be a number from 0 to 1.5 for the LoRA 'krea2-ink-wash', got 2\n"),
    ]
    assert requested(supernet) == []
