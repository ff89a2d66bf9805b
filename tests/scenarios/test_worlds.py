"""World builds, in both packages: approved, reviewed, watched through lost connections (additions-5x §11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk

PASSWORD = "a good password"
ACTION = {"verb": "open", "subject": "the gate", "intent": "enter"}
GATE = {"kind": "path", "object": "gate", "action": ACTION, "leads_to": "garden"}
STREAM = "*/events/stream"


@pytest.fixture
async def builds(sdk: Sdk, supernet: LocalSupernet) -> AsyncIterator[Any]:
    """The builds of a client that is signed in, without a socket."""
    supernet.add_account("ada", PASSWORD)
    options = {"api_key": None, "auth_type": "token", "disable_socket": True, "app_source": "scenario"}
    attribution = sdk.Attribution(workload_kind="agent_mediated", agent_framework="test")
    async with sdk.client(supernet, **options, attribution=attribution) as client:
        await sdk.call(client.account.login, "ada", PASSWORD)
        assert client.worlds.builds is client.worlds.builds
        yield client.worlds.builds
    assert not supernet.violations


async def start(sdk: Sdk, builds: Any, **given: Any) -> Any:
    """A build that waits for approval of its cost."""
    build = await sdk.call(builds.start, **{"world_id": "manor", "node_id": "yard", "hotspots": [GATE], **given})
    return await sdk.call(builds.wait, build.run_id, timeout=SOON)


async def test_a_build_from_its_quote_to_its_last_review(sdk: Sdk, builds: Any, supernet: LocalSupernet) -> None:
    action = sdk.WorldAction(verb="take", subject="the key", intent="unlock")
    key = sdk.WorldHotspot(kind="collectible", object="key", action=action)
    build = await start(sdk, builds, hotspots=[GATE, key], look="ink", token_type="spark", idempotency_key="k")
    assert (build.status, build.waiting.reason) == ("waiting_for_user", "cost_approval_required")
    assert (
        await start(sdk, builds, hotspots=[GATE, key], look="ink", token_type="spark", idempotency_key="k")
    ) == build
    assert (await sdk.call(builds.confirm_cost, build.run_id, "requote")).waiting.reason == "cost_approval_required"
    await sdk.call(builds.confirm_cost, build.run_id, "confirm")
    build = await sdk.call(builds.wait, build.run_id, timeout=SOON)
    gate, key = build.tasks
    assert (build.waiting.reason, bool(gate.generation_id), bool(key.interaction_id)) == ("review_required", True, True)
    await sdk.call(builds.review, build.run_id, task_id=gate.id, decision="rejected", note="at night")
    await sdk.call(builds.review, build.run_id, task_id=key.id, decision="approved")
    await sdk.call(builds.wait, build.run_id, timeout=SOON)
    build = await sdk.call(builds.review, build.run_id, task_id=gate.id, decision="approved")
    assert (build.status, build.ended) == ("completed", True)
    events = await sdk.call(builds.events, build.run_id)
    assert events == build.events
    assert await sdk.call(builds.events, build.run_id, after=events[-2].sequence) == events[-1:]
    (listed,) = await sdk.call(builds.list, world_id="manor", limit=5)
    assert (listed.run_id, listed.status, listed.events) == (build.run_id, "completed", [])
    (sent,) = {
        it.headers["x-app-source"]
        for it in supernet.requests
        if getattr(it, "path", "") == "/v1/world-builds" and it.method == "POST"
    }
    assert sent == "scenario"


async def test_a_stream_that_is_cut_again_and_again_has_every_event_once(
    sdk: Sdk, builds: Any, supernet: LocalSupernet
) -> None:
    for truncate in (True, False, True):
        supernet.faults.cut_stream(STREAM, after_events=1, truncate=truncate)
    supernet.faults.repeat_events(STREAM, count=2)
    build = await start(sdk, builds)
    await sdk.call(builds.confirm_cost, build.run_id, "confirm")
    events = []
    async for event in sdk.iterate(builds.stream_events(build.run_id)):
        events.append(event)
        if event.type == "run_waiting" and event.payload["reason"] == "review_required":
            task = event.payload["details"]["taskIds"][0]
            await sdk.call(builds.review, build.run_id, task_id=task, decision="approved")
    assert events == await sdk.call(builds.events, build.run_id)
    rest = await sdk.collect(builds.stream_events(build.run_id, last_event_id=events[2].sequence))
    assert rest == events[3:]


async def test_a_build_is_canceled(sdk: Sdk, builds: Any) -> None:
    build = await start(sdk, builds)
    assert (await sdk.call(builds.cancel, build.run_id, "enough")).status == "cancelled"
    events = await sdk.collect(builds.stream_events(build.run_id))
    assert events[-1].type == "run_cancelled"
    with pytest.raises(sdk.ConflictError):
        await sdk.call(builds.confirm_cost, build.run_id, "confirm")


async def test_unknown_builds_and_tasks_are_named(sdk: Sdk, builds: Any) -> None:
    build = await start(sdk, builds)
    with pytest.raises(sdk.NotFoundError, match="no world build 'nothing'"):
        await sdk.call(builds.get, "nothing")
    with pytest.raises(sdk.NotFoundError, match="world build 'nothing'"):
        await sdk.collect(builds.stream_events("nothing"))
    with pytest.raises(sdk.NotFoundError, match="with a task 'none'"):
        await sdk.call(builds.review, build.run_id, task_id="none", decision="approved")


async def test_an_api_key_is_refused_before_anything_is_sent(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    for call in (
        lambda: client.worlds.builds.list(),
        lambda: client.worlds.builds.start(world_id="w", node_id="n", hotspots=[GATE]),
    ):
        with pytest.raises(sdk.PermissionDeniedError, match="an API key is not enough"):
            await sdk.call(call)
    with pytest.raises(sdk.PermissionDeniedError, match="sign in"):
        client.worlds.builds.stream_events("r")
    with pytest.raises(TypeError, match="did you mean 'world_id'"):
        await sdk.call(lambda: client.worlds.builds.start(worldid="w", node_id="n", hotspots=[GATE]))
    assert not supernet.requests
