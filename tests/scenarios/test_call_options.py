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
