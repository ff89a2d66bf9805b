"""The service is told what asks, when that is said (transport §14)."""

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


async def test_an_attribution_that_would_be_dropped_is_refused(sdk: Sdk, supernet: LocalSupernet) -> None:
    with pytest.raises(sdk.ValidationError, match=r"attribution\.workload_kind"):
        sdk.SogniClient(attribution={"workload_kind": "robot"})
    async with sdk.client(supernet) as client:
        with pytest.raises(sdk.ValidationError, match=r"attribution\.operation_id"):
            await sdk.create(client, attribution=sdk.Attribution(operation_id=""))
    assert not [it for it in supernet.requests if getattr(it, "type", None) == "jobRequest"]
