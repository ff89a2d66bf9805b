"""The LoRA catalogue, imports of personal LoRAs, and LoRAs in requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sogni.emulator import LocalSupernet, Membership
from sogni.emulator.account.accounts import Account
from sogni.emulator.faults import LoraImportFault
from sogni.emulator.projects.personal_loras import ENTRIES, IMPORTS_PER_DAY, PersonalLoras
from sogni.emulator.responses import RefusedError
from tests.emulator.wire import Wire, job_request, key_frame
from tests.tables import each_row

PATH = "/v1/loras/personal"
LINK = "https://huggingface.co/ada/ink"
IMPORT = {"url": LINK, "name": "Ink", "modelId": "flux1-schnell-fp8", "rightsConfirmed": True}


@pytest.fixture
def subscribed(supernet: LocalSupernet) -> LocalSupernet:
    supernet.set_subscription(Membership())
    return supernet


def test_the_catalogue_is_public_and_can_be_filtered(wire: Wire) -> None:
    wire.headers.clear()
    everything = wire.data("/v1/loras/comfy")
    assert everything["constraints"] == {"maxPerRequest": 8, "minStrength": -100, "maxStrength": 100}
    assert everything["models"] == sorted({model for lora in everything["loras"] for model in lora["modelIds"]})
    assert any(lora["ui"]["nsfw"] for lora in everything["loras"])
    assert any(lora["ui"]["min"] < 0 and lora["ui"]["rangeLabels"] for lora in everything["loras"])
    some = wire.data("/v1/loras/comfy", modelId="flux1-schnell-fp8")["loras"]
    assert [lora["loraId"] for lora in some] == ["flux-age-slider"]
    assert wire.data("/v1/loras/comfy", modelId="none")["loras"] == []


def test_a_query_of_another_form_is_refused(wire: Wire, supernet: LocalSupernet) -> None:
    reply = wire.get("/v1/loras/comfy", model="x")
    assert (reply.status_code, reply.json()["message"]) == (400, "model is not a query value of this route")
    assert len(supernet.violations) == 1


def test_personal_loras_need_an_account(wire: Wire) -> None:
    wire.headers.clear()
    assert [wire.get(path).status_code for path in (PATH, f"{PATH}/catalog", f"{PATH}/1")] == [401, 401, 401]


def test_imports_and_their_catalogue_need_a_plan(wire: Wire, subscribed: LocalSupernet) -> None:
    lora_id = wire.ask("POST", PATH, IMPORT).json()["data"]["id"]
    subscribed.set_personal_lora(lora_id, "ready")
    subscribed.set_subscription(None)
    refused = wire.ask("POST", PATH, IMPORT)
    assert (refused.status_code, refused.json()["errorCode"]) == (403, 4078)
    assert wire.get(f"{PATH}/catalog").status_code == 403
    frame = key_frame(loras=[f"personal-{lora_id}"])
    wire.connect().create(job_request(frame=frame))
    assert "is not a known LoRA" in wire.next("jobError")["error_message"]
    assert [it["id"] for it in wire.data(PATH)["loras"]] == [lora_id]
    assert wire.ask("DELETE", f"{PATH}/{lora_id}").status_code == 200
    assert wire.get(f"{PATH}/{lora_id}").status_code == 404


@each_row(
    ("changes", "problem"),
    [
        ({"url": "https://example.test/ink"}, "$.url must be a link to Hugging Face or Civitai"),
        ({"url": "http://civitai.com/models/1"}, "$.url must be a link to Hugging Face or Civitai"),
        ({"url": "https://[x"}, "$.url must be a link to Hugging Face or Civitai"),
        ({"name": " "}, "$.name must not be empty"),
        ({"modelId": "gpt-image-2"}, "$.modelId is not a model that takes LoRAs"),
        ({"rightsConfirmed": False}, "$.rightsConfirmed must be true"),
        ({"rightsConfirmed": "yes"}, "$.rightsConfirmed must be a boolean"),
    ],
)
def test_an_import_of_another_form_is_refused(
    wire: Wire, subscribed: LocalSupernet, changes: dict[str, Any], problem: str
) -> None:
    reply = wire.ask("POST", PATH, IMPORT | changes)
    assert reply.status_code == 400
    assert problem in reply.json()["message"]


def test_a_ready_lora_is_applied(wire: Wire, subscribed: LocalSupernet) -> None:
    record = wire.ask("POST", PATH, IMPORT).json()["data"]
    assert (record["status"], record["source"], record["requirements"]) == ("queued", "huggingface", [])
    ready = wire.data(f"{PATH}/{record['id']}")
    assert (ready["status"], ready["bytes"] > 0) == ("ready", True)
    (listed,) = wire.data(f"{PATH}/catalog")["loras"]
    assert listed["loraId"].startswith("personal-")
    wire.finish(wire.connect().create(job_request(frame=key_frame(loras=[listed["loraId"]], seed=1))))
    assert subscribed.violations == []


def test_another_account_does_not_see_them(wire: Wire, subscribed: LocalSupernet) -> None:
    lora_id = wire.ask("POST", PATH, IMPORT).json()["data"]["id"]
    subscribed.add_account("grace", "a good password", api_key="other")
    wire.headers["api-key"] = "other"
    assert wire.data(PATH)["loras"] == []
    assert [wire.get(f"{PATH}/{lora_id}").status_code, wire.ask("DELETE", f"{PATH}/{lora_id}").status_code] == [
        404,
        404,
    ]
    with pytest.raises(KeyError):
        subscribed.set_personal_lora("none", "ready")
    subscribed.reset()
    wire.headers["api-key"] = subscribed.api_key
    assert wire.data(PATH)["loras"] == []


def test_imports_can_be_rejected_or_reviewed(wire: Wire, subscribed: LocalSupernet) -> None:
    subscribed.faults.reject_lora(failure_code="source_access", reason="gone")
    subscribed.faults.review_lora()
    given = [IMPORT, IMPORT, IMPORT | {"url": "https://huggingface.co/local/flux-age-slider"}]
    rejected, review, duplicate = [
        wire.data(f"{PATH}/{wire.ask('POST', PATH, it).json()['data']['id']}") for it in given
    ]
    assert (rejected["status"], rejected["failureCode"], rejected["reason"]) == ("rejected", "source_access", "gone")
    assert (review["status"], "failureCode" in review) == ("review", False)
    assert (duplicate["status"], duplicate["failureCode"]) == ("rejected", "catalog_duplicate")
    subscribed.set_personal_lora(review["id"], "revoked", reason="withdrawn")
    assert wire.data(f"{PATH}/{review['id']}")["reason"] == "withdrawn"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def account(supernet: LocalSupernet) -> Iterator[Account]:
    supernet.account.membership = Membership()
    return supernet.account


def imports(clock: Clock, fault: LoraImportFault | None = None) -> PersonalLoras:
    numbers = iter(range(1000))
    return PersonalLoras(clock, lambda: f"ID-{next(numbers)}", 5.0, lambda: fault)


def test_an_import_takes_a_while_in_each_state(account: Account) -> None:
    clock = Clock()
    loras = imports(clock)
    made = loras.add(account, LINK, "Ink", "m")
    seen = []
    for clock.now in (1004, 1005, 1009, 1010):
        seen.append(loras.find(account, made.id).status)
    assert seen == ["queued", "validating", "validating", "ready"]
    assert made.updated == 1010


def test_an_import_is_rejected_if_the_plan_ends_before(account: Account) -> None:
    clock = Clock()
    loras = imports(clock)
    made = loras.add(account, LINK, "Ink", "m")
    account.membership = Membership(status="expired")
    clock.now += 10
    assert loras.find(account, made.id).record()["failureCode"] == "subscription_required"


def test_their_number_and_imports_per_day_are_limited(account: Account) -> None:
    clock = Clock()
    loras = imports(clock)
    for _ in range(ENTRIES // IMPORTS_PER_DAY):
        for _ in range(IMPORTS_PER_DAY):
            loras.add(account, LINK, "Ink", "m")
        with pytest.raises(RefusedError) as caught:
            loras.add(account, LINK, "Ink", "m")
        clock.now += 24 * 3600
    assert caught.value.status == 409
    loras.remove(account, "id-0")
    assert loras.add(account, LINK, "Ink", "m").status == "queued"


def test_a_day_later_imports_are_possible_again(wire: Wire, subscribed: LocalSupernet) -> None:
    replies = [wire.ask("POST", PATH, IMPORT) for _ in range(IMPORTS_PER_DAY + 1)]
    assert [it.status_code for it in replies] == [200] * IMPORTS_PER_DAY + [429]
    assert 24 * 3600 - 60 < int(replies[-1].headers["Retry-After"]) <= 24 * 3600


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"loras": ["ink"]}, "loras[0] is not a known LoRA: 'ink'"),
    ({"loras": ["flux-age-slider", "krea2-ink-wash"]}, "loras[1] is not for flux1-schnell-fp8: 'krea2-ink-wash'"),
    ({"loras": ["flux-age-slider"], "loraStrengths": [-101]}, "loraStrengths[0] must be at least -100"),
    ({"loras": ["personal-1"] * 4}, "loras has 4 personal LoRAs; at most 3 are allowed"),
    (
        {"modelID": "krea2_turbo_fp8_scaled", "steps": 8, "loras": ["krea2-figure-study"]},
        "loras[0] requires disableSafety",
    ),
]


def test_loras_that_a_request_cannot_have_are_refused(wire: Wire) -> None:
    wire.connect()
    for changes, message in REFUSED:
        wire.create(job_request(frame=key_frame(**changes)))
        assert message in wire.next("jobError")["error_message"]


def test_strengths_beyond_the_range_of_a_lora_are_noted_and_clamped(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    files = [image(wire, loras=["flux-age-slider"], loraStrengths=[strength]) for strength in (5, 9, -5)]
    assert len({*files, image(wire), image(wire, loras=["flux-age-slider"])}) == 5
    assert ["clamped" in str(it) for it in supernet.violations] == [True]


def image(wire: Wire, **frame: Any) -> bytes:
    project_id = wire.create(job_request(frame=key_frame(seed=5, **frame)))
    frames = wire.finish(project_id)
    (job,) = [data["imgID"] for kind, data in frames if kind == "jobResult"]
    return wire.download(project_id, job)
