"""The LoRA catalogue, personal LoRAs, and the check of the LoRAs of a project (additions-5x §1, §2)."""

from __future__ import annotations

import base64
import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

import sogni.core.catalogue.loras as loras
from sogni.core.http import HttpReply
from sogni.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    SogniConnectionError,
    SogniError,
    SogniTimeoutError,
    ValidationError,
)
from sogni.models.converter import from_dict, to_dict
from sogni.models.loras import (
    Lora,
    LoraCatalog,
    LoraConstraints,
    LoraExample,
    LoraExampleGroup,
    LoraRangeLabels,
    LoraSection,
    LoraUi,
    PersonalLora,
    PersonalLoraLimits,
    PersonalLoraList,
)
from sogni.models.params import ImageProjectParams
from sogni.settings import RetryPolicy
from tests.core.play import MODEL, NOW, Stage, ok, refused
from tests.tables import each_row

ALL = "GET rest/v1/loras/comfy"
FOR_MODEL = f"{ALL}?modelId={MODEL}"
PERSONAL = "GET rest/v1/loras/personal"
CATALOG = f"{PERSONAL}/catalog"


def entry(lora_id: str = "ink", models: tuple[str, ...] = (MODEL,), **ui: Any) -> dict[str, Any]:
    return {"loraId": lora_id, "slug": lora_id, "name": lora_id.title(), "modelIds": list(models), "ui": ui}


def listing(*entries: dict[str, Any], **fields: Any) -> HttpReply:
    return ok({"loras": list(entries), **fields})


def ids(catalogue: LoraCatalog) -> list[str]:
    return [lora.lora_id for lora in catalogue]


# -- the catalogue -----------------------------------------------------------------


FULL_ENTRY = {
    "loraId": "ink",
    "slug": "ink-wash",
    "name": "Ink",
    "description": "Ink.",
    "relatedLoraIds": ["wash"],
    "modelIds": [MODEL],
    "ui": {
        "min": -2,
        "max": 3.5,
        "default": 0.8,
        "step": 0.05,
        "recommendedMin": -1,
        "recommendedMax": 2,
        "rangeLabels": {"min": "less", "max": "more"},
        "category": "style",
        "section": {"id": "s", "label": "Styles", "order": 1},
        "nsfw": True,
        "sexual": True,
        "creator": "Ada",
        "sourceUrl": "https://source",
        "license": "MIT",
        "licenseUrl": "https://license",
        "examples": [{"url": "https://1", "caption": "one", "isMature": True, "prompt": "p", "negativePrompt": "n"}],
        "exampleGroups": [{"title": "t", "examples": [{"url": "https://2"}], "prompt": "p", "negativePrompt": "n"}],
        "examplePrompt": "p",
        "exampleNegativePrompt": "n",
    },
}


def test_every_field_of_the_catalogue_is_read() -> None:
    limits = {"maxPerRequest": 5, "minStrength": -9, "maxStrength": 9}
    answer = listing(FULL_ENTRY, lastUpdated=1000, models=[MODEL, "other"], constraints=limits)
    ui = LoraUi(
        min=-2,
        max=3.5,
        default=0.8,
        step=0.05,
        recommended_min=-1,
        recommended_max=2,
        range_labels=LoraRangeLabels(min="less", max="more"),
        category="style",
        section=LoraSection(id="s", label="Styles", order=1),
        nsfw=True,
        sexual=True,
        creator="Ada",
        source_url="https://source",
        license="MIT",
        license_url="https://license",
        examples=[LoraExample(url="https://1", caption="one", is_mature=True, prompt="p", negative_prompt="n")],
        example_groups=[
            LoraExampleGroup(title="t", examples=[LoraExample(url="https://2")], prompt="p", negative_prompt="n")
        ],
        example_prompt="p",
        example_negative_prompt="n",
    )
    lora = Lora(
        lora_id="ink",
        slug="ink-wash",
        name="Ink",
        description="Ink.",
        related_lora_ids=["wash"],
        model_ids=[MODEL],
        ui=ui,
    )
    expected = LoraCatalog(
        loras=[lora],
        models=[MODEL, "other"],
        constraints=LoraConstraints(max_per_request=5, min_strength=-9, max_strength=9),
        last_updated=datetime.fromtimestamp(1, UTC),
    )
    found = Stage().play(loras.available_loras(), (ALL, answer))
    assert expected == found
    assert from_dict(LoraCatalog, to_dict(found)) == found
    assert (len(found), list(found)) == (1, [lora])


def test_missing_models_and_limits_have_defaults() -> None:
    answer = listing(entry("a", ("y", "x")), entry("b", ("z", "x")), {"loraId": "c"})
    found = Stage().play(loras.available_loras(), (ALL, answer))
    assert found.models == ["x", "y", "z"]
    assert found.constraints == LoraConstraints(max_per_request=8, min_strength=-100, max_strength=100)


def test_the_loras_of_a_model_are_filtered_once_more() -> None:
    answer = listing(entry("a"), entry("b", ("other",)), entry("c", (MODEL, "other")))
    assert ids(Stage().play(loras.available_loras(MODEL), (FOR_MODEL, answer))) == ["a", "c"]


def test_an_unknown_model_has_no_loras() -> None:
    assert ids(Stage().play(loras.available_loras("none"), (f"{ALL}?modelId=none", listing()))) == []


def test_the_catalogue_is_requested_without_credentials() -> None:
    stage = Stage(api_key=None)
    stage.play(loras.available_loras(), (ALL, listing()))
    assert [call.anonymous for call in stage.calls] == [True]


def test_the_catalogue_is_kept_for_five_minutes_per_model() -> None:
    stage = Stage()
    assert ids(stage.play(loras.available_loras(), (ALL, listing(entry())))) == ["ink"]
    assert ids(stage.play(loras.available_loras(MODEL), (FOR_MODEL, listing(entry("wash"))))) == ["wash"]
    stage.passes(299)
    assert [ids(stage.play(loras.available_loras(it))) for it in (None, MODEL)] == [["ink"], ["wash"]]
    stage.passes(1).play(loras.available_loras(), (ALL, listing()))


def test_a_forced_catalogue_is_requested_and_kept() -> None:
    stage = Stage()
    stage.play(loras.available_loras(), (ALL, listing()))
    stage.play(loras.available_loras(force_refresh=True), (ALL, listing(entry())))
    assert ids(stage.play(loras.available_loras())) == ["ink"]


def test_what_a_caller_does_to_a_catalogue_is_not_kept() -> None:
    stage = Stage()
    found = stage.play(loras.available_loras(), (ALL, listing(entry())))
    found.loras.clear()
    found.models.clear()
    assert (ids(stage.play(loras.available_loras())), stage.play(loras.supports_loras(MODEL))) == (["ink"], True)


def test_personal_loras_are_added_and_never_kept() -> None:
    stage = Stage()
    own = listing(entry("personal-1", (MODEL, "own")), entry("personal-2", ("own",)))
    flow = loras.available_loras(MODEL, include_personal=True)
    found = stage.play(flow, (FOR_MODEL, listing(entry(), models=[MODEL, "z"])), (CATALOG, own))
    assert (ids(found), found.models) == (["ink", "personal-1"], sorted([MODEL, "own", "z"]))
    assert ids(stage.play(loras.available_loras(MODEL))) == ["ink"]
    again = stage.play(loras.available_loras(MODEL, include_personal=True), (CATALOG, listing()))
    assert ids(again) == ["ink"]


def test_a_lora_is_found_by_its_id() -> None:
    stage = Stage()
    found = stage.play(loras.find_lora("ink"), (ALL, listing(entry())))
    assert found is not None
    assert found.lora_id == "ink"
    assert stage.play(loras.find_lora("none")) is None


def test_a_personal_lora_is_looked_up_in_the_personal_catalogue() -> None:
    stage = Stage()
    found = stage.play(loras.find_lora("personal-1"), (CATALOG, listing(entry("personal-1"))))
    assert found is not None
    assert found.lora_id == "personal-1"
    assert stage.play(loras.find_lora("personal-1"), (CATALOG, listing())) is None


def test_models_and_limits_are_those_of_the_whole_catalogue() -> None:
    stage = Stage()
    limits = {"maxPerRequest": 2, "minStrength": -1, "maxStrength": 1}
    answer = listing(models=["x"], constraints=limits)
    assert stage.play(loras.supports_loras("x"), (ALL, answer))
    assert not stage.play(loras.supports_loras("y"))
    assert stage.play(loras.lora_constraints()) == LoraConstraints(max_per_request=2, min_strength=-1, max_strength=1)


@each_row(
    ("flow", "message"),
    [
        (lambda: loras.available_loras(" "), "model_id must be a non-empty string, got ' '"),
        (lambda: loras.available_loras(5), "model_id must be a string, got 5"),
        (lambda: loras.available_loras(include_personal=1), "include_personal must be True or False, got 1"),
        (lambda: loras.available_loras(force_refresh=None), "force_refresh must be True or False, got None"),
        (lambda: loras.find_lora(""), "id must be a non-empty string, got ''"),
        (lambda: loras.supports_loras(None), "model_id must be a string, got None"),
        (lambda: loras.personal_catalogue(""), "model_id must be a non-empty string, got ''"),
        (lambda: loras.personal_lora(""), "id must be an id (a non-empty string), got ''"),
        (lambda: loras.remove_personal_lora(".."), "id must be an id, got '..'"),
        (
            lambda: loras.wait_for_personal_lora("1", -1),
            "timeout must be a number of seconds, 0 or more, or None, got -1",
        ),
    ],
)
def test_invalid_arguments_are_refused_before_sending(flow: Any, message: str) -> None:
    assert str(Stage().fail(ValidationError, flow())) == message


def test_a_malformed_catalogue_is_an_error_with_its_place() -> None:
    error = Stage().fail(ProtocolError, loras.available_loras(), (ALL, listing({"slug": "ink"})))
    assert "required field 'loraId' is missing" in str(error)


# -- personal LoRAs ----------------------------------------------------------------


def record(status: str = "ready", **fields: Any) -> dict[str, Any]:
    return {"id": "7", "name": "Ink", "modelId": MODEL, "modelIds": [MODEL], "status": status, **fields}


def test_every_field_of_a_personal_lora_is_read() -> None:
    more = {
        "source": "civitai",
        "createdAt": 1000,
        "updatedAt": 2000,
        "bytes": 5,
        "reason": "no",
        "failureCode": "invalid_artifact",
        "requirements": ["credit the author"],
    }
    limits = {"entries": 3, "fileBytes": None, "importsPerDay": 2, "perGeneration": 1}
    answer = ok({"loras": [record("rejected", **more)], "models": [MODEL], "limits": limits})
    found = Stage().play(loras.personal_loras(), (PERSONAL, answer))
    lora = PersonalLora(
        id="7",
        name="Ink",
        model_id=MODEL,
        model_ids=[MODEL],
        source="civitai",
        status="rejected",
        created_at=datetime.fromtimestamp(1, UTC),
        updated_at=datetime.fromtimestamp(2, UTC),
        bytes=5,
        reason="no",
        failure_code="invalid_artifact",
        requirements=["credit the author"],
    )
    expected = PersonalLoraLimits(entries=3, file_bytes=None, imports_per_day=2, per_generation=1)
    assert PersonalLoraList(loras=[lora], models=[MODEL], limits=expected) == found
    assert (len(found), list(found)) == (1, [lora])
    assert to_dict(lora) == record("rejected", **more)


def test_a_personal_lora_is_requested_by_its_escaped_id() -> None:
    found = Stage().play(loras.personal_lora("a/b"), (f"{PERSONAL}/a%2Fb", ok(record())))
    assert (found.id, found.ended) == ("7", True)


def test_an_unknown_personal_lora_is_named() -> None:
    stage = Stage()
    error = stage.fail(NotFoundError, loras.personal_lora("9"), (f"{PERSONAL}/9", refused(404)))
    assert error.status == 404
    stage.fail(NotFoundError, loras.remove_personal_lora("9"), ("DELETE rest/v1/loras/personal/9", refused(404)))


def test_a_personal_lora_is_removed() -> None:
    Stage().play(loras.remove_personal_lora("7"), ("DELETE rest/v1/loras/personal/7", ok()))


LINK = "https://civitai.com/models/1?token=secret"
NO_LINK = "url must be an https:// link to a public LoRA on Hugging Face or Civitai"
GIVEN = {"url": LINK, "name": "Ink", "model_id": MODEL, "rights_confirmed": True}


def test_an_import_is_requested_once() -> None:
    stage = Stage()
    found = stage.play(loras.add_personal_lora(**GIVEN), ("POST rest/v1/loras/personal", ok(record("queued"))))
    assert (found.status, found.ended) == ("queued", False)
    (call,) = stage.calls
    assert call.body == {"url": LINK, "name": "Ink", "modelId": MODEL, "rightsConfirmed": True}
    assert not call.repeatable


@each_row(
    ("changes", "message"),
    [
        ({"url": "http://civitai.com/models/1?token=secret"}, NO_LINK),
        ({"url": "https://?token=secret"}, NO_LINK),
        ({"url": "https://[secret"}, NO_LINK),
        ({"url": None}, NO_LINK),
        ({"name": " "}, "name must be a non-empty string, got ' '"),
        ({"model_id": ""}, "model_id must be a non-empty string, got ''"),
        ({"rights_confirmed": False}, "rights_confirmed must be True, got False: confirm that you may use the LoRA"),
        ({"rights_confirmed": 1}, "rights_confirmed must be True, got 1: confirm that you may use the LoRA"),
    ],
)  # fmt: skip
def test_an_invalid_import_is_refused_before_sending(changes: dict[str, Any], message: str) -> None:
    error = Stage().fail(ValidationError, loras.add_personal_lora(**{**GIVEN, **changes}))
    assert str(error) == message
    assert "secret" not in repr(error.value)


def test_the_personal_catalogue_is_filtered_by_model() -> None:
    own = listing(entry("personal-1"), entry("personal-2", ("other",)))
    assert ids(Stage().play(loras.personal_catalogue(MODEL), (CATALOG, own))) == ["personal-1"]


def test_waiting_asks_at_growing_intervals_of_up_to_30_seconds() -> None:
    stage = Stage()
    steps = []
    for seconds in (1, 2, 4, 8, 16, 30, 30):
        steps += [(f"{PERSONAL}/7", ok(record("review"))), (f"pause {seconds}", None)]
    found = stage.play(loras.wait_for_personal_lora("7"), *steps, (f"{PERSONAL}/7", ok(record("rejected"))))
    assert found.status == "rejected"


def test_waiting_obeys_the_pause_that_the_service_requests() -> None:
    stage = Stage()
    limited = refused(429, retry_after="90")
    found = stage.play(
        loras.wait_for_personal_lora("7"),
        (f"{PERSONAL}/7", limited),
        ("pause 90", None),
        (f"{PERSONAL}/7", ok(record("revoked"))),
    )
    assert found.status == "revoked"


def test_waiting_ends_after_its_time_with_a_last_request() -> None:
    stage = Stage()

    def passing(seconds: float) -> Any:
        return lambda stage: stage.passes(seconds)

    error = stage.fail(
        SogniTimeoutError,
        loras.wait_for_personal_lora("7", 2.5),
        (f"{PERSONAL}/7", ok(record("queued"))),
        ("pause 1", passing(1)),
        (f"{PERSONAL}/7", ok(record("queued"))),
        ("pause 1.5", passing(1.5)),
        (f"{PERSONAL}/7", ok(record("queued"))),
    )
    assert str(error) == "the import of the personal LoRA '7' has not ended within 2.5 seconds"
    assert (error.phase, error.timeout) == ("total", 2.5)
    assert [call.timeout for call in stage.calls] == [2.5, 1.5, 1.0]


def token(address: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"addr": address, "exp": NOW + 10**6}).encode()).decode().rstrip("=")
    return f"e30.{claims}.sig"


@pytest.mark.parametrize(
    "flow", [loras.personal_catalogue(), loras.available_loras(include_personal=True), loras.find_lora("personal-1")]
)
def test_another_account_that_signs_in_during_the_call_makes_it_fail(flow: Any) -> None:
    stage = Stage(api_key=None, auth_type="token")
    stage.state.session.credentials.use_tokens(token("0x1"), token("0x1"), None)

    def signs_in(stage: Stage) -> HttpReply:
        stage.state.session.credentials.use_tokens(token("0x2"), token("0x2"), None)
        return listing()

    stage.state.catalogue.keep_loras(None, LoraCatalog(loras=[]), stage.now)
    error = stage.fail(SogniError, flow, (CATALOG, signs_in))
    assert "the signed-in account changed during the call" in str(error)


def test_new_tokens_of_the_same_account_do_no_harm() -> None:
    stage = Stage(api_key=None, auth_type="token")
    stage.state.session.credentials.use_tokens(token("0x1"), token("0x1"), None)

    def signs_in(stage: Stage) -> HttpReply:
        stage.state.session.credentials_changed()
        return listing()

    assert ids(stage.play(loras.personal_catalogue(), (CATALOG, signs_in))) == []


# -- the check of a project --------------------------------------------------------


def params(*lora_ids: str, strengths: Any = None, **fields: Any) -> ImageProjectParams:
    return ImageProjectParams(model_id=MODEL, loras=list(lora_ids), lora_strengths=strengths, **fields)


PUBLIC = (
    entry("ink-wash", min=-2, max=3),
    entry("detail"),
    entry("nude", nsfw=True),
    {**entry("pixel", ("other", "third")), "relatedLoraIds": ["detail", "pixel", "gone"]},
    entry("grain", ("other",)),
    entry("nowhere", ()),
)
OWN = (entry("personal-1"), entry("personal-2", ("other",)))


@each_row(
    "given",
    [
        params("ink-wash", "detail"),
        params("ink-wash", "detail", strengths=[-2]),
        params("detail", strengths=[100]),
        params("nude", disable_nsfw_filter=True),
        params("ink-wash", "ink-wash", strengths=[1, 3]),
    ],
)
def test_loras_that_a_project_can_use_pass(given: ImageProjectParams) -> None:
    Stage().play(loras.check_loras(given), (ALL, listing(*PUBLIC)))


@each_row(
    ("given", "field", "message"),
    [
        (params("inkwash"), "loras[0]", "loras[0]: the service knows no LoRA 'inkwash'; did you mean 'ink-wash'?"),
        (params("detail", "Ink Wash"), "loras[1]",
         "loras[1]: the service knows no LoRA 'Ink Wash'; did you mean 'ink-wash'?"),
        (params("pixels"), "loras[0]", "loras[0]: the service knows no LoRA 'pixels'"),
        (params("pixel"), "loras[0]",
         f"loras[0]: the LoRA 'pixel' is for other, third, not for {MODEL}; did you mean 'detail'?"),
        (params("grain"), "loras[0]", f"loras[0]: the LoRA 'grain' is for other, not for {MODEL}"),
        (params("nowhere"), "loras[0]", f"loras[0]: the LoRA 'nowhere' is for no model, not for {MODEL}"),
        (params("nude"), "loras[0]", "loras[0]: the LoRA 'nude' needs disable_nsfw_filter=True"),
        (params("detail", "ink-wash", strengths=[5, 3.5]), "lora_strengths[1]",
         "lora_strengths[1] must be a number from -2 to 3 for the LoRA 'ink-wash', got 3.5"),
        (params("detail", strengths=[-101]), "lora_strengths[0]",
         "lora_strengths[0] must be a number from -100 to 100 for the LoRA 'detail', got -101"),
    ],
)  # fmt: skip
def test_loras_that_a_project_cannot_use_are_refused(given: ImageProjectParams, field: str, message: str) -> None:
    error = Stage().fail(ValidationError, loras.check_loras(given), (ALL, listing(*PUBLIC)))
    assert (error.field, str(error)) == (field, message)


def test_the_service_limits_their_number() -> None:
    answer = listing(*PUBLIC, constraints={"maxPerRequest": 1, "minStrength": 0, "maxStrength": 1})
    error = Stage().fail(ValidationError, loras.check_loras(params("detail", "detail")), (ALL, answer))
    assert str(error) == "loras must be at most 1 IDs, got ['detail', 'detail']"


def test_personal_loras_are_looked_up_each_time() -> None:
    stage = Stage()
    stage.play(loras.check_loras(params("personal-1", "detail")), (CATALOG, listing(*OWN)), (ALL, listing(*PUBLIC)))
    stage.play(loras.check_loras(params("personal-1")), (CATALOG, listing(*OWN)))
    errors = [
        stage.fail(ValidationError, loras.check_loras(params(it)), (CATALOG, listing(*OWN)))
        for it in ("personal-3", "personal-2")
    ]
    assert [str(error) for error in errors] == [
        "loras[0]: the account has no personal LoRA 'personal-3'; did you mean 'personal-1'?",
        f"loras[0]: the LoRA 'personal-2' is for other, not for {MODEL}",
    ]


def test_a_refusal_by_an_old_catalogue_requests_it_again() -> None:
    stage = Stage()
    stage.play(loras.check_loras(params("detail")), (ALL, listing(*PUBLIC)))
    stage.passes(60).fail(ValidationError, loras.check_loras(params("new")))
    stage.passes(1).play(loras.check_loras(params("new")), (ALL, listing(entry("new"))))
    stage.passes(61).play(loras.check_loras(params("new")))
    stage.fail(ValidationError, loras.check_loras(params("newer")), (ALL, listing(entry("new"))))


@pytest.mark.parametrize(
    "failure", [refused(404), refused(400), ok({"loras": 5}), SogniConnectionError("unreachable")], ids=str
)
def test_loras_are_left_to_the_service_while_the_catalogue_is_unavailable(
    failure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(retry=RetryPolicy(attempts=1))
    with caplog.at_level(logging.WARNING, logger="sogni"):
        stage.play(loras.check_loras(params("new", "personal-1")), (CATALOG, failure), (ALL, failure))
    assert [it.message.partition(": ")[0] for it in caplog.records] == [
        "LoRA catalog unavailable, the service checks the LoRAs"
    ] * 2


def test_personal_loras_are_checked_while_only_the_public_catalogue_is_unavailable() -> None:
    flow = loras.check_loras(params("new", "personal-2"))
    error = Stage().fail(ValidationError, flow, (CATALOG, listing(*OWN)), (ALL, refused(404)))
    assert error.field == "loras[1]"


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (403, PermissionDeniedError)])
def test_an_account_that_may_not_use_personal_loras_is_told(status: int, kind: type[Any]) -> None:
    Stage().fail(kind, loras.check_loras(params("personal-1")), (CATALOG, refused(status)))
