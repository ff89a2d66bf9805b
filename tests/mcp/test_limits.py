"""Spending limits, and asking the user for approval."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from mcp_types import ElicitResult

from sogni.emulator import LocalSupernet
from sogni.local.spending import DaySpending
from sogni.mcp import calls
from sogni.mcp.server import ServerOptions
from sogni.mcp.tools import SPEECH_MODELS
from tests.mcp.hosts import MODES, SMALL, open_host, spending
from tests.mcp.test_tools import until

YES = ElicitResult(action="accept", content={"approve": True})
NOTHING = Decimal(0)


@pytest.mark.parametrize("mode", MODES)
async def test_the_user_is_asked_above_the_threshold(supernet: LocalSupernet, mode: str) -> None:
    asked: list[str] = []
    async with open_host(supernet, mode, answer=YES, asked=asked, ask_above=NOTHING) as host:
        await host.made("generate_image", **SMALL)
        assert asked == ["Spend about 0.03 Spark (less than $0.01) on 1 × image with krea2_turbo_fp8_scaled?"]
    for answer in (
        ElicitResult(action="decline"),
        ElicitResult(action="cancel"),
        ElicitResult(action="accept", content={"approve": False}),
    ):
        before = len(supernet.projects)
        async with open_host(supernet, mode, answer=answer, ask_above=NOTHING) as host:
            assert "the user did not approve; nothing has been spent" in await host.refused("generate_image", **SMALL)
            assert (await host.made("get_balance"))["spent_today"] == "0"
        assert len(supernet.projects) == before


async def test_a_host_that_never_answers_is_not_waited_for(
    supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(calls, "APPROVAL_SECONDS", 0.05)
    monkeypatch.setattr(calls, "ROOTS_SECONDS", 0.05)
    before = len(supernet.projects)
    async with open_host(
        supernet, "legacy", silent=True, answer=YES, declared=[tmp_path], ask_above=NOTHING, max_calls=1
    ) as host:
        assert "the user did not approve; nothing has been spent" in await host.refused("generate_image", **SMALL)
        assert "no folder is allowed" in await host.refused("generate_image", **SMALL, save_to=str(tmp_path))
    assert len(supernet.projects) == before


async def test_the_user_is_not_asked_when_it_is_not_necessary(supernet: LocalSupernet) -> None:
    asked: list[str] = []
    async with open_host(supernet, answer=YES, asked=asked) as host:
        await host.made("generate_image", **SMALL)
    async with open_host(supernet, answer=YES, asked=asked, ask_above=None) as host:
        await host.made("generate_image", **SMALL, model="gpt-image-2")
    async with open_host(supernet, ask_above=NOTHING) as host:
        await host.made("generate_image", **SMALL)
    assert asked == []


async def test_a_call_and_a_day_have_limits(supernet: LocalSupernet) -> None:
    before = len(supernet.projects)
    async with open_host(supernet, max_cost=Decimal("0.02"), max_cost_per_day=None) as host:
        message = "this would cost 0.03 Spark, and a call may cost at most 0.02 Spark"
        assert await host.refused("generate_image", **SMALL) == message
        estimate = await host.made("estimate", tool="generate_image", arguments=SMALL)
        assert (estimate["cost"], estimate["allowed"], "spent_today" in estimate) == ("0.03", False, False)
    assert len(supernet.projects) == before
    asked: list[str] = []
    async with open_host(supernet, max_cost_per_day="0.07", answer=YES, asked=asked, ask_above=NOTHING) as host:
        await host.made("generate_image", **SMALL)
        await host.made("generate_image", **SMALL)
        message = "this would cost 0.03 spark, and 0.06 of the 0.07 spark that may be spent per day are spent"
        assert await host.refused("generate_image", **SMALL) == message
        assert len(asked) == 2
        estimate = await host.made("estimate", tool="generate_image", arguments=SMALL)
        assert (estimate["allowed"], estimate["spent_today"]) == (False, "0.06")


async def test_what_a_project_costs_replaces_the_estimate(supernet: LocalSupernet) -> None:
    day = spending(Decimal(100))
    async with open_host(supernet, spending=day, ask_above=None) as host:
        made = await host.made("generate_speech", text="Good morning. " * 20)
        await until(lambda: day.spent("spark") == Decimal(made["cost"]))
        estimate = await host.made("estimate", tool="generate_speech", arguments={"text": "Good morning. " * 20})
        assert (estimate["exact"], Decimal(estimate["cost"]) > Decimal(made["cost"])) == (False, True)


async def test_a_project_that_could_not_be_sent_costs_nothing(supernet: LocalSupernet) -> None:
    async with open_host(supernet) as host:
        await host.refused("edit_image", prompt="x", images=["data:image/png;base64,aGk="])
        assert (await host.made("get_balance"))["spent_today"] == "0"


async def test_the_token_that_pays_is_that_of_the_server(supernet: LocalSupernet) -> None:
    async with open_host(supernet, token_type="sogni") as host:
        assert (await host.made("generate_image", **SMALL))["token"] == "sogni"
        message = "token_type must be 'spark' for gpt-image-2"
        assert message in await host.refused("generate_image", **SMALL, model="gpt-image-2")


def test_speech_is_estimated_by_its_length() -> None:
    assert all(model.startswith("qwen3_tts") for model in SPEECH_MODELS.values())
    assert ServerOptions(spending=DaySpending(None)).ask_above == 5
