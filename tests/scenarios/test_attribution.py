"""The attribution of requests reaches the service (transport §14)."""

from __future__ import annotations

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk

ASKING = {"interaction_kind": "service", "workload_kind": "agent_mediated", "agent_framework": "kiln"}


async def test_the_service_is_told_what_asks(sdk: Sdk, supernet: LocalSupernet) -> None:
    """In the handshake, in requests of projects and chats, and in headers (transport §14)."""
    async with sdk.client(supernet, attribution=ASKING) as client:
        await sdk.create(client)
        project = await sdk.create(client, attribution={"workload_kind": "direct"})
        ask = {"messages": [{"role": "user", "content": "hello"}]}
        await sdk.call(client.chat.completions.create, **ask, timeout=SOON)
        await sdk.call(client.chat.hosted.create, **ask)
        run = await sdk.call(client.chat.runs.create, **ask, idempotency_key="the-key")
        await sdk.call(client.chat.runs.wait, run.run_id, timeout=SOON)
        await sdk.call(project.wait, timeout=SOON)
    frames = {kind: [] for kind in ("jobRequest", "llmJobRequest")}  # type: dict[str, list[Any]]
    for arrival in supernet.requests:
        if getattr(arrival, "type", None) in frames:
            frames[arrival.type].append(arrival.data)
    first, second = frames["jobRequest"]
    (chat,) = frames["llmJobRequest"]
    assert [it.get("agentFramework") for it in (first, second, chat)] == ["kiln", None, "kiln"]
    assert [it["workloadKind"] for it in (first, second, chat)] == ["agent_mediated", "direct", "agent_mediated"]
    assert [it["operationId"] for it in (first, second, chat)] == [it["jobID"] for it in (first, second, chat)]
    headers = {it.path: it.headers for it in supernet.requests if getattr(it, "method", None) == "POST"}
    assert headers["/v1/chat/completions"]["x-sogni-agent-framework"] == "kiln"
    assert headers["/v1/chat/runs"]["x-sogni-operation-id"] == "the-key"
    assert headers["/v1/chat/runs"]["x-sogni-interaction-kind"] == "service"


async def test_a_single_call_says_otherwise(sdk: Sdk, supernet: LocalSupernet) -> None:
    """The fields of the call win, one by one, and travel as the headers of transport §14 name them."""
    given = {"agent_surface": "mcp", "agent_surface_version": "2", "root_operation_id": "root"}
    ask = {"messages": [{"role": "user", "content": "hello"}], "attribution": given}
    image = {"id": "still", "tool_name": "generate_image", "arguments": {"prompt": "a kite"}}
    question = {"id": "ask", "tool_name": "ask_clarifying_question", "arguments": {"question": "Which?"}}
    tool = {"id": "1", "function": {"name": "generate_image", "arguments": '{"prompt": "a kite"}'}}
    async with sdk.client(supernet, attribution=ASKING) as client:
        workflows, chat = client.workflows, client.chat
        await sdk.call(chat.completions.create, **ask, timeout=SOON)
        await sdk.call(chat.tools.execute, tool, attribution=given, timeout=SOON)
        await sdk.call(chat.hosted.create, **ask)
        await sdk.call(chat.hosted.execute_tool, "compose_lyrics", {"prompt": "a kite"}, attribution=given)
        await sdk.call(chat.runs.create, **ask, idempotency_key="the-key")
        paused = await sdk.call(workflows.start, input={"steps": [question]}, attribution=given)
        await sdk.call(workflows.wait, paused.workflow_id, timeout=SOON)
        await sdk.call(workflows.resume, paused.workflow_id, attribution=sdk.Attribution(**given))
        done = await sdk.call(workflows.start, input={"steps": [image]})
        await sdk.call(workflows.wait, done.workflow_id, timeout=SOON)
        await sdk.call(workflows.reseed, done.workflow_id, attribution=given)
    posts = [it for it in supernet.requests if getattr(it, "method", None) == "POST"]
    told = [
        {name: value for name, value in it.headers.items() if name.startswith("x-sogni-")}
        for it in posts
        if "x-sogni-workload-kind" in it.headers
    ]
    assert len(told) == 7
    plain = told.pop(5)  # the start that says nothing of its own
    assert {plain.get("x-sogni-agent-surface"), plain["x-sogni-operation-scope"]} == {None, "top_level"}
    for headers in told:
        operation = headers.pop("x-sogni-operation-id")
        assert operation
        assert headers == {
            "x-sogni-interaction-kind": "service",
            "x-sogni-workload-kind": "agent_mediated",
            "x-sogni-agent-framework": "kiln",
            "x-sogni-agent-surface": "mcp",
            "x-sogni-agent-surface-version": "2",
            "x-sogni-operation-scope": "child",
            "x-sogni-root-operation-id": "root",
            "x-sogni-parent-operation-id": "root",
        }
    frames = [it.data for it in supernet.requests if getattr(it, "type", None) in ("jobRequest", "llmJobRequest")]
    assert [it["agentSurface"] for it in frames] == ["mcp", "mcp"]
    assert [it["parentOperationId"] for it in frames] == ["root", "root"]
    assert supernet.violations == []


async def test_an_attribution_that_would_be_dropped_is_refused(sdk: Sdk, supernet: LocalSupernet) -> None:
    with pytest.raises(sdk.ValidationError, match=r"attribution\.workload_kind"):
        sdk.SogniClient(attribution={"workload_kind": "robot"})
    ask = {"messages": [{"role": "user", "content": "hello"}]}
    step = {"tool_name": "finalize_response", "arguments": {"message": "Done."}}
    tool = {"id": "1", "function": {"name": "generate_image", "arguments": '{"prompt": "a kite"}'}}
    async with sdk.client(supernet) as client:
        workflows, chat = client.workflows, client.chat
        for call, arguments in (
            (client.projects.create, {"type": "image", "model_id": "krea2_turbo_fp8_scaled", "positive_prompt": "x"}),
            (chat.completions.create, ask),
            (chat.completions.create, {**ask, "auto_execute_tools": True}),
            (chat.hosted.create, ask),
            (chat.hosted.execute_tool, {"tool": "compose_lyrics", "arguments": {"prompt": "a kite"}}),
            (chat.runs.create, ask),
            (chat.tools.execute, {"tool_call": tool}),
            (workflows.start, {"input": {"steps": [step]}}),
            (workflows.resume, {"workflow_id": "w"}),
            (workflows.reseed, {"workflow_id": "w"}),
        ):
            with pytest.raises(sdk.ValidationError, match=r"attribution\.operation_id"):
                await sdk.call(call, **arguments, attribution=sdk.Attribution(operation_id=""))
            with pytest.raises(sdk.ValidationError, match="set it on the client"):
                await sdk.call(call, **arguments, attribution={"interaction_kind": "service"})
            with pytest.raises(TypeError, match="agent_framework"):
                await sdk.call(call, **arguments, attribution={"agent_frame": "a"})
    assert not [it for it in supernet.requests if getattr(it, "method", "POST") == "POST"]
