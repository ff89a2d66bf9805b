"""Plans are checked before they are sent, and turns with a model become run records (workflows §2.1; replay §2)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk

WORKFLOWS = "/v1/creative-agent/workflows"
ASKED = [{"role": "user", "content": "Say hello"}]


@pytest.fixture(scope="module")
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0) as running:
        yield running


def sent(supernet: LocalSupernet) -> list[str]:
    """Where workflows were started or records written."""
    posts = [it.path for it in supernet.requests if getattr(it, "method", "") == "POST"]
    return [it for it in posts if it.startswith((WORKFLOWS, "/v1/replay"))]


def need(sdk: Sdk, source: str, target: str = "sourceImageIndex") -> Any:
    return sdk.WorkflowDependency(source_step_id=source, target_argument=target, transform="image_index")


def step(sdk: Sdk, name: str, *sources: str, tool: str = "edit_image", **arguments: Any) -> Any:
    needs = [need(sdk, source) for source in sources] or None
    return sdk.WorkflowStep(id=name, tool_name=tool, arguments={"prompt": "a boat", **arguments}, depends_on=needs)


async def test_a_cycle_and_a_missing_dependency_are_both_named_and_nothing_is_sent(
    sdk: Sdk, supernet: LocalSupernet
) -> None:
    supernet.reset()
    plan = sdk.WorkflowInput(
        title="Round and round",
        steps=[
            step(sdk, "one", "two", aspectRatio=16),
            step(sdk, "two", "one"),
            step(sdk, "three", "gone", tool="animate_photo", duration=99),
        ],
    )
    async with sdk.client(supernet) as client:
        with pytest.raises(sdk.ValidationError) as caught:
            await sdk.call(client.workflows.start, input=plan)
        with pytest.raises(sdk.ValidationError) as strict:
            await sdk.call(client.workflows.start, input=sdk.to_dict(plan), strict=True)
    assert str(caught.value) == (
        "the plan has 2 errors:\n"
        "  - step 'one': depends_on must not contain a cycle: 'one' needs 'two' needs 'one'\n"
        "  - step 'three': depends_on[0].source_step_id "
        "must be the id of an earlier step or $input_media, got 'gone'; did you mean 'one'?"
    )
    assert [(it.step, it.rule) for it in caught.value.findings] == [("one", "cycle"), ("three", "unknown-step")]
    assert [(it.step, it.field, it.rule) for it in strict.value.findings] == [
        ("one", "depends_on", "cycle"),
        ("one", "arguments.aspectRatio", "argument"),
        ("three", "depends_on[0].source_step_id", "unknown-step"),
        ("three", "arguments.duration", "argument"),
    ]
    assert [it.message for it in plan.check()] == [it.message for it in strict.value.findings]
    assert sent(supernet) == []


async def test_a_tool_of_tomorrow_is_left_to_the_service_unless_strict(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.reset()
    plan = {"steps": [{"tool_name": "paint_hologram", "arguments": {"prompt": "a boat"}}]}
    async with sdk.client(supernet) as client:
        with pytest.raises(sdk.ValidationError) as here:
            await sdk.call(client.workflows.start, input=plan, strict=True)
        with pytest.raises(sdk.ValidationError) as there:
            await sdk.call(client.workflows.start, input=plan)
    assert (here.value.url, [it.rule for it in here.value.findings]) == (None, ["tool"])
    assert (str(there.value.url).endswith(WORKFLOWS), sent(supernet)) == (True, [WORKFLOWS])


async def test_a_plan_from_a_file_runs_as_it_is_drawn(sdk: Sdk, supernet: LocalSupernet, tmp_path: Path) -> None:
    supernet.reset()
    plan = sdk.WorkflowInput(
        steps=[
            step(sdk, "boat", tool="generate_image", width=256, height=256, model="flux1-schnell-fp8"),
            step(sdk, "night", "boat"),
        ]
    )
    assert plan.check() == []
    loaded = sdk.WorkflowInput.load(plan.save(tmp_path / "plan.yaml"))
    assert loaded == plan
    async with sdk.client(supernet) as client:
        started = await sdk.call(client.workflows.start, input=loaded, strict=True)
        record = await sdk.call(client.workflows.wait, started.workflow_id, timeout=SOON)
    assert (record.status, len(record.artifacts)) == ("completed", 2)
    assert record.input == plan
    assert '"image_index to sourceImageIndex"' in plan.to_mermaid()


# -- run records


async def recorded(sdk: Sdk, client: Any, **options: Any) -> Any:
    """A recording with a whole answer, a stream, and a refusal inside."""
    if sdk.blocking:
        return await asyncio.to_thread(_recorded, client, **options)
    async with client.replay.record(**options) as run:
        await client.chat.completions.create(messages=ASKED)
        async with await client.chat.completions.create(messages=ASKED, stream=True) as stream:
            async for _ in stream:
                pass
        with pytest.raises(ValueError):
            await client.chat.completions.create(messages="hello")
    return run


def _recorded(client: Any, **options: Any) -> Any:
    with client.replay.record(**options) as run:
        client.chat.completions.create(messages=ASKED)
        with client.chat.completions.create(messages=ASKED, stream=True) as stream:
            list(stream)
        with pytest.raises(ValueError):
            client.chat.completions.create(messages="hello")
    return run


async def test_a_recording_writes_what_was_said(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.reset()
    async with sdk.client(supernet) as client:
        run = await recorded(sdk, client, session_id="s1", run_id="run_1")
        await sdk.call(client.chat.completions.create, messages=ASKED)
        found = (await sdk.call(client.replay.get, "run_1")).record
        (summary,) = (await sdk.call(client.replay.list)).records
    assert run.written.run_id == "run_1"
    assert sdk.to_dict(found) == sdk.to_dict(run.record)
    assert (found.schema_version, found.session_id, found.user_request) == (2, "s1", "Say hello")
    whole, streamed, refused = found.rounds
    assert whole["messages"] == streamed["messages"] == ASKED
    assert whole["content"] == streamed["content"] != ""
    assert found.final_response == {"content": whole["content"], "finish_reason": "stop"}
    assert refused["error"]["type"] == "ValidationError"
    assert summary.rounds == 3
    assert sent(supernet) == ["/v1/replay/records"]


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}; api_key=abcdef1234567890"


async def test_a_recording_has_the_rounds_of_tools_without_what_is_secret(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.reset()
    supernet.chat.reply(tool_calls=[("weather", {"city": "Oslo"})])
    supernet.chat.reply("It rains.")
    options = {"messages": ASKED, "tools": [weather], "auto_execute_tools": True}
    async with sdk.client(supernet) as client:
        if sdk.blocking:
            run = await asyncio.to_thread(_with_tools, client, options)
        else:
            async with client.replay.record() as run:
                await client.chat.completions.create(**options)
        found = (await sdk.call(client.replay.get, run.run_id)).record
    first, last = found.rounds
    assert first["messages"] == ASKED
    assert first["tool_calls"][0]["function"]["name"] == "weather"
    assert first["tool_results"][0]["content"] == "rain in Oslo; api_key=***"
    assert (last["content"], found.final_response["content"]) == ("It rains.", "It rains.")


def _with_tools(client: Any, options: Any) -> Any:
    with client.replay.record() as run:
        client.chat.completions.create(**options)
    return run
