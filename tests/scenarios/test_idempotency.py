"""One project and one payment for all calls of an account with the same key, in any client and any process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sogni.core.projects import idempotency
from sogni.emulator import LocalSupernet
from sogni.local import key_notes
from tests.scenarios.conftest import SOON, Sdk


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    idempotency._sent.clear()
    yield
    assert idempotency._held == {}


def sent(supernet: LocalSupernet) -> list[str]:
    """The ids of all requests for projects that have arrived."""
    return [it.data["jobID"] for it in supernet.requests if getattr(it, "type", "") == "jobRequest"]


def paid(supernet: LocalSupernet) -> Decimal:
    return 10_000 - supernet.account.balance.sogni


async def finish(sdk: Sdk, project: Any) -> Any:
    return await sdk.call(project.wait, timeout=SOON)


async def test_a_repeated_call_returns_the_same_project(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    first = await sdk.create(client, idempotency_key="order 17")
    assert await sdk.create(client, idempotency_key="order 17") is first
    await finish(sdk, first)
    price = paid(supernet)
    assert price > 0
    async with sdk.client(supernet) as other:
        again = await sdk.create(other, idempotency_key="order 17")
        assert ((await finish(sdk, again)).id, len(again.result_urls)) == (first.id, 1)
    assert (sent(supernet), paid(supernet), supernet.violations) == ([first.id], price, [])
    assert (await sdk.create(client, idempotency_key="order 18")).id != first.id


async def test_concurrent_calls_are_one_project(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as one, sdk.client(supernet) as two:
        calls = [sdk.create(client, idempotency_key="order 17") for client in (one, two) * 3]
        projects = await asyncio.gather(*calls)
        assert len(set(map(id, projects))) == 2
        for project in projects:
            assert len((await finish(sdk, project)).result_urls) == 1
    assert sent(supernet) == [projects[0].id]


async def test_a_failed_call_lets_the_next_one_pay(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v2/projects/*", status=403)
    calls = [sdk.create(client, idempotency_key="order 17") for _ in range(2)]
    error, project = sorted(await asyncio.gather(*calls, return_exceptions=True), key=lambda it: hasattr(it, "jobs"))
    assert (error.status, (await finish(sdk, project)).status) == (403, "completed")
    assert sent(supernet) == [project.id]


async def test_requests_that_two_processes_send_at_once_are_one_project(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    async with sdk.client(supernet) as one, sdk.client(supernet) as two:
        first = await sdk.create(one, idempotency_key="order 17")
        idempotency._sent.clear()
        supernet.faults.http("/v2/projects/*", status=404)
        second = await sdk.create(two, idempotency_key="order 17")
        assert (second, second is first) == (first, False)
        supernet.wait_for(lambda: len(sent(supernet)) == 2)
        supernet.resume_workers()
        for project in (first, second):
            assert len((await finish(sdk, project)).result_urls) == 1
    assert (len(supernet.projects), supernet.violations) == (1, [])


async def test_a_project_is_known_however_one_signs_in(sdk: Sdk, supernet: LocalSupernet) -> None:
    supernet.add_account("mia", "a good password", api_key="mias-key")
    async with sdk.client(supernet, api_key="mias-key") as by_key, sdk.client(supernet, api_key=None) as by_name:
        await sdk.call(by_name.account.login, "mia", "a good password")
        projects = [await sdk.create(client, idempotency_key="order 17") for client in (by_key, by_name)]
    async with sdk.client(supernet) as of_another_account:
        other = await sdk.create(of_another_account, idempotency_key="order 17")
    assert (projects[0] == projects[1], projects[0] == other) == (True, False)


async def test_media_are_uploaded_once(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    picture = BytesIO()
    Image.new("RGB", (256, 256)).save(picture, "PNG")
    given = {"starting_image": picture.getvalue(), "idempotency_key": "order 17"}
    await finish(sdk, await sdk.create(client, **given))
    async with sdk.client(supernet) as other:
        await sdk.create(other, **given)
    assert [it.method for it in supernet.requests if getattr(it, "method", "") == "PUT"] == ["PUT"]


async def test_other_parameters_are_refused_with_both_values(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    project = await sdk.create(client, idempotency_key="order 17", steps=4)
    with pytest.raises(sdk.ValidationError) as caught:
        await sdk.create(client, idempotency_key="order 17", positive_prompt="a fox")
    assert f"{project.id}, which was created with positive_prompt='a lighthouse', steps=4" in caught.value.message
    assert "got positive_prompt='a fox', steps=None" in caught.value.message
    idempotency._sent.clear()
    async with sdk.client(supernet) as other:
        noted = "number_of_media=1, steps=<another value>; got number_of_media=2, steps=None"
        with pytest.raises(sdk.ValidationError, match=noted):
            await sdk.create(other, idempotency_key="order 17", number_of_media=2)
    assert sent(supernet) == [project.id]


async def test_a_prompt_is_compared_with_a_running_project_of_another_host(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet.pause_workers()
    project = await sdk.create(client, idempotency_key="order 17")
    idempotency._sent.clear()
    monkeypatch.setattr(key_notes, "state_directory", lambda: tmp_path)
    async with sdk.client(supernet) as other:
        with pytest.raises(sdk.ValidationError) as caught:
            await sdk.create(other, idempotency_key="order 17", positive_prompt="a fox")
        assert "positive_prompt='a lighthouse'; got positive_prompt='a fox'" in caught.value.message
        assert await sdk.create(other, idempotency_key="order 17") == project
    assert sent(supernet) == [project.id]


async def test_a_bad_key_is_refused_before_anything_is_sent(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    for key in ("", "x" * 256, 5):
        with pytest.raises(sdk.ValidationError, match="idempotency_key must be a string of 1 to 255 characters"):
            await sdk.create(client, idempotency_key=key)
    assert supernet.requests == []


async def test_every_request_of_a_map_has_its_project(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    request = {"type": "image", "model_id": "flux1-schnell-fp8", "positive_prompt": "a fox", "idempotency_key": "a"}
    requests = [request, {**request}, {**request, "idempotency_key": "b"}]
    done = await sdk.collect(client.projects.map(requests))
    assert sorted(map(id, requests)) == sorted(id(request) for request, _ in done)
    assert len({project.id for _, project in done}) == len(sent(supernet)) == 2
