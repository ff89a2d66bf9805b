"""`client.with_options`: other time limits, headers and retries for some calls of a client."""

from __future__ import annotations

from typing import Any

import pytest

from sogni import RetryPolicy, SogniTimeoutError
from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import Sdk


def traces(supernet: LocalSupernet) -> list[tuple[str, str | None]]:
    """The paths of the REST requests, each with its `X-Trace`."""
    return [(it.path, it.headers.get("x-trace")) for it in supernet.requests if hasattr(it, "method")]


async def test_a_view_has_its_own_options_and_the_client_s_connection(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    view = client.with_options(headers={"X-Trace": "abc"}, retry=RetryPolicy(attempts=1))
    await sdk.call(client.account.me)
    await sdk.call(view.account.me)
    assert [trace for path, trace in traces(supernet) if path == "/v1/account/me"] == [None, "abc"]

    supernet.faults.http("/v1/account/me", hang=True)
    with pytest.raises(SogniTimeoutError, match=r"no response within 0\.2 seconds"):
        await sdk.call(view.with_options(timeout=0.2).account.me)

    project = await sdk.call(
        view.projects.create, type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a kite"
    )
    assert project in client.projects.tracked_projects
    await sdk.call(project.wait, timeout=60)
    assert view.is_connected == client.is_connected

    await sdk.call(view.close)
    assert client.closed


async def test_a_stream_of_a_view(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    plan = {"title": "Kite", "steps": [{"id": "a", "toolName": "generate_image", "arguments": {"prompt": "a kite"}}]}
    workflows = client.with_options(headers={"X-Trace": "abc"}).workflows
    workflow = await sdk.call(workflows.start, input=plan)
    assert await sdk.collect(workflows.stream_events(workflow.workflow_id))
    assert {trace for path, trace in traces(supernet) if path.startswith("/v1/creative-agent")} == {"abc"}


async def test_raw_replies_beside_the_parsed_values(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    seen: list[Any] = []
    view = client.with_options(on_reply=seen.append, retry=RetryPolicy(base=0.001))
    supernet.faults.http("/v1/account/me", status=503, retry_after=0)
    account = await sdk.call(view.account.me)
    replies = [(it.method, it.status, it.url) for it in seen]
    url = f"{supernet.rest_endpoint}/v1/account/me"
    assert replies == [("GET", 503, url), ("GET", 200, url)]
    assert (seen[1].json()["data"]["username"], "content-type" in seen[1].headers) == (account.username, True)
    supernet.faults.http("/v1/gone", status=410)
    with pytest.raises(sdk.ApiError):
        await sdk.call(view.api_client.rest.get, "/v1/gone")
    assert seen[2].status == 410


async def test_an_observer_of_replies_may_be_async_or_fail(
    sdk: Sdk, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def observe(reply: Any) -> None:
        raise RuntimeError("no")

    if sdk.name == "sogni":
        with pytest.raises(TypeError, match="on_reply: observe is an async function"):
            client.with_options(on_reply=observe)
        return
    await client.with_options(on_reply=observe).account.me()
    assert caplog.messages == ["on_reply raised an error"]
