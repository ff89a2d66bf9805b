"""Reading `jobError` frames (transport §16, projects-4.2 §11.5)."""

from __future__ import annotations

from typing import Any

from sogni.core.projects.job import error_data
from sogni.models.converter import from_dict, to_dict
from sogni.models.projects import ConsentRequired, ErrorData
from tests.tables import each_row


@each_row(
    ("error", "code", "original"),
    [
        (5, 5, None),
        (0, 0, None),
        ("1001", 1001, None),
        (" 12 ", 12, None),
        ("", 0, None),
        (4081.0, 4081, None),
        (True, 1, None),
        ("serverRestarting", 5001, "serverRestarting"),
        ("workerDisconnected", 5002, "workerDisconnected"),
        ("jobTimedOut", 5003, "jobTimedOut"),
        ("artistCanceled", 5004, "artistCanceled"),
        ("workerCancelled", 5005, "workerCancelled"),
        ("genfailure", 5000, "genfailure"),
        ("NaN", 5000, "NaN"),
        (10**400, 5000, str(10**400)),
        ([1], 5000, "[1]"),
        (None, 0, None),
        ("1e3", 1000, None),
        ("0x1F", 31, None),
        ("1_000", 5000, "1_000"),
        ("1e999", 5000, "1e999"),
    ],
    ids=lambda it: str(it)[:20],
)
def test_numbers_stay_and_symbols_get_their_code(error: Any, code: int, original: str | None) -> None:
    expected = ErrorData(code=code, message="m", original_code=original)
    assert expected == error_data({"error": error, "error_message": "m"})


def test_a_frame_that_says_nothing() -> None:
    assert ErrorData(code=5000) == error_data({})


def test_a_message_that_is_no_text_is_none() -> None:
    assert error_data({"error": 1, "error_message": {"a": 1}}).message == ""


def test_limits_of_a_plan_are_told() -> None:
    """projects-5x §15: 4081."""
    payload = {
        "error": 4081,
        "error_message": "m",
        "subscriptionLimit": True,
        "requiredPlans": ["pro", "max"],
        "feature": "lora",
        "limitation": "LoRAs",
    }
    assert error_data(payload) == ErrorData(
        code=4081,
        message="m",
        subscription_limit=True,
        required_plans=["pro", "max"],
        feature="lora",
        limitation="LoRAs",
    )


def test_details_of_another_type_are_kept_as_sent() -> None:
    odd = {"subscriptionLimit": "yes", "requiredPlans": "pro", "feature": 5, "vendorFailureCategory": 1}
    assert ErrorData(code=1, extra=odd) == error_data({"error": 1, **odd})


def test_details_without_a_field_of_their_own_are_kept_as_sent() -> None:
    """projects-5x §7, §15."""
    details = {"fairUse": {"limit": 5}, "isFromWorker": True, "somethingNew": None}
    frame = {"jobID": "P", "imgID": "A", "error": 4100, "error_message": "m", "feature": "f", **details}
    assert ErrorData(code=4100, message="m", feature="f", extra=details) == error_data(frame)


AGREEMENT = {"key": "k", "version": 2, "modelId": "m"}


@each_row(
    ("code", "given", "consent"),
    [
        (4103, {"consentRequired": AGREEMENT}, ConsentRequired(key="k", version=2, model_id="m")),
        ("genfailure", {"consentRequired": AGREEMENT}, ConsentRequired(key="k", version=2, model_id="m")),
        (4103, {}, ConsentRequired()),
        ("4103", {}, ConsentRequired()),
        (4103, {"consentRequired": True}, ConsentRequired()),
        (4103, {"consentRequired": {"key": 1, "more": 2}}, ConsentRequired(extra={"key": 1, "more": 2})),
        (4104, {}, None),
        (True, {}, None),
        ("genfailure", {"consentRequired": True}, None),
    ],
    ids=str,
)
def test_which_errors_ask_for_consent(code: Any, given: dict[str, Any], consent: ConsentRequired | None) -> None:
    """additions-5x §4."""
    error = error_data({"error": code, **given})
    assert error.consent_required == consent
    assert from_dict(ErrorData, to_dict(error)) == error


@each_row(
    ("code", "given", "limited"),
    [
        (4081, {}, True),
        ("4081", {"subscriptionLimit": False}, True),
        (4078, {"subscriptionLimit": True}, True),
        *((code, {}, None) for code in (4078, 4079, 4080, "genfailure", True)),
    ],
    ids=str,
)
def test_which_errors_are_limits_of_the_plan(code: Any, given: dict[str, Any], limited: bool | None) -> None:
    """additions-5x §4."""
    assert error_data({"error": code, **given}).subscription_limit is limited


def test_the_category_of_a_vendor_and_a_lost_project() -> None:
    error = error_data({"error": "projectLost", "vendorFailureCategory": "something_new"})
    assert (error.project_lost, error.vendor_failure_category, error.extra) == (True, "something_new", {})
    assert not error_data({"error": 5}).project_lost
