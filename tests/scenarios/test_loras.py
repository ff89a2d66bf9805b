"""LoRAs: the catalogue, personal LoRAs from import to use, and projects that use them."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.emulator import LocalSupernet, Membership
from tests.scenarios.conftest import MODEL, SOON, Sdk

LORA = "flux-age-slider"
IMPORT = {"url": "https://civitai.com/models/1", "name": "Ink", "model_id": MODEL, "rights_confirmed": True}


def requested(supernet: LocalSupernet) -> list[str]:
    """The requests about LoRAs that arrived."""
    sent = [(getattr(it, "method", ""), str(getattr(it, "path", ""))) for it in supernet.requests]
    return [f"{method} {path.removeprefix('/v1/loras/')}" for method, path in sent if path.startswith("/v1/loras/")]


async def test_the_catalogue_is_fetched_once_and_only_if_it_is_needed(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    await sdk.create(client)
    assert requested(supernet) == []
    catalog = await sdk.call(client.projects.available_loras)
    assert await sdk.call(client.projects.supports_loras, MODEL)
    assert not await sdk.call(client.projects.supports_loras, "gpt-image-2")
    assert await sdk.call(client.projects.lora_constraints) == sdk.LoraConstraints()
    lora = await sdk.call(client.projects.get_lora, LORA)
    assert lora in catalog.loras
    assert await sdk.call(client.projects.get_lora, "none") is None
    project = await sdk.create(client, loras=[LORA], lora_strengths=[-5])
    await sdk.call(project.wait, timeout=SOON)
    assert requested(supernet) == ["GET comfy"]
    some = await sdk.call(client.projects.available_loras, MODEL, force_refresh=True)
    assert [it.lora_id for it in some] == [LORA]
    assert requested(supernet) == ["GET comfy"] * 2
    assert supernet.violations == []


async def test_a_lora_that_a_project_cannot_use_costs_nothing(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    with pytest.raises(sdk.ValidationError, match=f"loras.0.: .* no LoRA 'flux-age'; did you mean '{LORA}'"):
        await sdk.create(client, loras=["flux-age"])
    with pytest.raises(sdk.ValidationError, match=r"lora_strengths.0. must be a number from -5 to 5"):
        await sdk.create(client, loras=[LORA], lora_strengths=[6])
    krea = {"model_id": "krea2_turbo_fp8_scaled", "loras": ["krea2-figure-study"]}
    with pytest.raises(sdk.ValidationError, match="needs disable_nsfw_filter=True"):
        await sdk.create(client, **krea)
    assert supernet.projects == []
    project = await sdk.create(client, **krea, disable_nsfw_filter=True)
    await sdk.call(project.wait, timeout=SOON)


async def test_loras_are_left_to_the_service_without_a_catalogue(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    supernet.faults.http("/v1/loras/comfy", status=503, times=100)
    project = await sdk.create(client, loras=[LORA])
    await sdk.call(project.wait, timeout=SOON)
    wrong = await sdk.create(client, loras=["ink"])
    with pytest.raises(sdk.ProjectFailedError, match="not a known LoRA: 'ink'"):
        await sdk.call(wrong.wait, timeout=SOON)


async def test_an_imported_lora_can_be_used_and_removed(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    personal = client.projects.personal_loras
    with pytest.raises(sdk.PermissionDeniedError, match="need an active plan"):
        await sdk.call(personal.add, **IMPORT)
    with pytest.raises(sdk.PermissionDeniedError, match="need an active plan"):
        await sdk.create(client, loras=["personal-1"])
    supernet.set_subscription(Membership())
    added = await sdk.call(personal.add, **IMPORT)
    assert added.status == "queued"
    ready = await sdk.call(personal.wait, added.id, timeout=SOON)
    assert (ready.status, ready.ended, ready.failure_code) == ("ready", True, None)
    assert await sdk.call(personal.get, added.id) == ready
    listed = await sdk.call(personal.list)
    assert (listed.loras, listed.limits.entries, MODEL in listed.models) == ([ready], 20, True)
    (lora,) = await sdk.call(personal.catalog, MODEL)
    assert (await sdk.call(personal.catalog, "other")).loras == []
    everything = await sdk.call(client.projects.available_loras, include_personal=True)
    assert lora in everything.loras
    assert await sdk.call(client.projects.get_lora, lora.lora_id) == lora
    project = await sdk.create(client, loras=[lora.lora_id], lora_strengths=[0.5])
    await sdk.call(project.wait, timeout=SOON)
    await sdk.call(personal.remove, added.id)
    with pytest.raises(sdk.NotFoundError, match=added.id):
        await sdk.call(personal.get, added.id)
    with pytest.raises(sdk.ValidationError, match="the account has no personal LoRA"):
        await sdk.create(client, loras=[lora.lora_id])
    assert supernet.violations == []


async def test_an_import_in_review_is_waited_for_in_vain(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.set_subscription(Membership())
    supernet.faults.review_lora()
    supernet.faults.reject_lora()
    personal = client.projects.personal_loras
    review, rejected = [await sdk.call(personal.add, **IMPORT) for _ in range(2)]
    with pytest.raises(sdk.SogniTimeoutError, match="has not ended within 0 seconds"):
        await sdk.call(personal.wait, review.id, timeout=0)
    supernet.set_personal_lora(review.id, "ready")
    assert (await sdk.call(personal.wait, review.id)).status == "ready"
    ended = await sdk.call(personal.wait, rejected.id)
    assert (ended.status, ended.failure_code) == ("rejected", "invalid_artifact")
    assert ended == sdk.from_dict(sdk.PersonalLora, sdk.to_dict(ended))
