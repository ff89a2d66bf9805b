"""Assertions on what has arrived, and what they say when they fail."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import ANY

import pytest

from sogni.emulator import LocalSupernet, RecordedFrame, RecordedRequest, RecordedUpgrade, Violation
from sogni.emulator.assertions import Expected, failure, listing, surprises, unwanted, violations_message
from sogni.emulator.recorder import Arrival
from tests.emulator.wire import Wire, job_request, key_frame
from tests.tables import each_row


def job(prompt: str = "a lighthouse", model: str = "flux1-schnell-fp8", **more: Any) -> RecordedFrame:
    return RecordedFrame(1, "jobRequest", {"keyFrames": [{"modelID": model, "positivePrompt": prompt}], **more})


def rest(method: str, path: str, body: Any = None, **query: str) -> RecordedRequest:
    return RecordedRequest("rest", method, path, query, {}, body, status=200)


ARRIVALS: list[Arrival] = [
    RecordedUpgrade({"appId": "an-app"}, {}, 1, 101),
    rest("GET", "/v1/account/me"),
    job(numberOfImages=2, isPrivate=True),
    job("a castle", numberOfImages=1),
    rest("POST", "/v1/chat/completions", {"model": "qwen", "messages": [{"role": "user", "content": "hi"}]}),
    rest("GET", "/v1/image/downloadUrl", jobId="A"),
]


@each_row(
    "count, what, fields",
    [
        (2, "jobRequest", {}),
        (0, "llmJobRequest", {}),
        (1, "upgrade", {"app_id": "an-app"}),
        (2, "jobRequest", {"modelID": "flux1-schnell-fp8"}),
        (2, "jobRequest", {"model_id": re.compile("^flux1")}),
        (0, "jobRequest", {"model_id": re.compile("^krea")}),
        (0, "jobRequest", {"numberOfImages": re.compile("2")}),
        (1, "jobRequest", {"positive_prompt": "a castle", "number_of_images": 1}),
        (0, "jobRequest", {"positive_prompt": "a castle", "number_of_images": 2}),
        (2, "jobRequest", {"numberOfImages": ANY}),
        (0, "jobRequest", {"numberOfImages": True}),
        (1, "jobRequest", {"isPrivate": True}),
        (0, "jobRequest", {"isPrivate": 1}),
        (2, "jobRequest", {"keyFrames": [{"modelID": "flux1-schnell-fp8"}]}),
        (0, "jobRequest", {"keyFrames": []}),
        (0, "jobRequest", {"keyFrames": {}}),
        (0, "jobRequest", {"seed": None}),
        (1, "POST /v1/chat/completions", {"messages": [{"content": "hi"}]}),
        (1, "/v1/chat/*", {}),
        (0, "GET /v1/chat/*", {}),
        (2, "GET *", {}),
        (1, "GET /v1/image/downloadUrl", {"jobId": "A"}),
        (1, "GET /v1/account/me", {}),
    ],
)
def test_how_often_a_request_has_arrived(count: int, what: str, fields: dict[str, Any]) -> None:
    assert count == len(Expected(what, fields).matching(ARRIVALS))


def test_what_matches_says_nothing() -> None:
    assert failure(Expected("jobRequest", times=2), ARRIVALS) is None
    assert failure(Expected("jobRequest"), ARRIVALS) is None
    assert failure(Expected("llmJobRequest", times=0), ARRIVALS) is None
    assert unwanted(Expected("llmJobRequest"), ARRIVALS) is None
    assert violations_message([]) is None


def test_a_failure_shows_the_nearest_request_and_what_differs() -> None:
    expected = Expected("jobRequest", {"positivePrompt": "a castle", "numberOfImages": 4})
    assert failure(expected, ARRIVALS) == (
        "expected at least 1 time, arrived 0 times: jobRequest positivePrompt='a castle' numberOfImages=4\n"
        "the nearest is jobRequest modelID='flux1-schnell-fp8' positivePrompt='a castle' numberOfImages=1\n"
        "  - numberOfImages: 4\n"
        "  + numberOfImages: 1"
    )


def test_long_strings_are_compared_letter_by_letter() -> None:
    wanted = "an old lighthouse on a rock, at dawn, in the fog"
    message = failure(Expected("jobRequest", {"positivePrompt": wanted}), [job(wanted.replace("dawn", "dusk"))])
    assert message is not None
    old, new = "dawn", "dusk"
    assert message.splitlines()[2:] == [
        "    keyFrames[0].positivePrompt:",
        f"  - 'an old lighthouse on a rock, at {old}, in the fog'",
        "  ?                                   ^^^",
        f"  + 'an old lighthouse on a rock, at {new}, in the fog'",
        "  ?                                   ^^^",
    ]


def test_a_misspelled_field_names_the_nearest() -> None:
    message = failure(Expected("jobRequest", {"positivPrompt": "a castle"}), ARRIVALS)
    assert "no such field; did you mean 'positivePrompt'?" in str(message)


def test_a_field_that_occurs_several_times_shows_each() -> None:
    frame = RecordedFrame(1, "jobRequest", {"keyFrames": [{"steps": number} for number in range(6)]})
    message = str(failure(Expected("jobRequest", {"steps": 7}), [frame]))
    assert message.splitlines()[-5:] == [
        *(f"  + keyFrames[{number}].steps: {number}" for number in range(4)),
        "  + … and 2 more",
    ]


def test_without_such_a_request_all_that_arrived_are_listed() -> None:
    message = str(failure(Expected("llmJobRequest"), ARRIVALS))
    assert "this arrived:\n  upgrade → 101\n  GET /v1/account/me → 200\n" in message
    assert "nothing has arrived" in str(failure(Expected("llmJobRequest"), []))
    assert listing([job()] * 22)[0] == "  … 2 earlier ones"


def test_too_many_requests_are_listed() -> None:
    message = failure(Expected("jobRequest", times=1), ARRIVALS)
    assert str(message).startswith("expected 1 time, arrived 2 times: jobRequest\n  jobRequest modelID=")
    message = unwanted(Expected("jobRequest", {"positivePrompt": "a castle"}), ARRIVALS)
    assert str(message).startswith("expected not to arrive, but arrived 1 time: jobRequest positivePrompt='a castle'\n")


def test_only_what_changes_or_costs_something_must_be_expected() -> None:
    assert surprises([Expected("jobRequest"), Expected("POST /v1/chat/completions")], ARRIVALS) is None
    uploading = [rest("PUT", "/storage/1"), rest("POST", "/v1/assets/prepare"), rest("POST", "/v1/account/login")]
    assert surprises([], uploading) is None
    assert surprises([], [RecordedFrame(1, "jobRequest", {}, dropped=True)]) is None


def test_a_surprise_is_compared_with_what_was_expected() -> None:
    castle = Expected.of(("jobRequest", {"positivePrompt": "a castle", "times": 1}))
    message = str(surprises([castle], ARRIVALS))
    assert message.splitlines() == [
        "nothing expected jobRequest modelID='flux1-schnell-fp8' positivePrompt='a lighthouse' numberOfImages=2",
        "  - positivePrompt: 'a castle'",
        "  + keyFrames[0].positivePrompt: 'a lighthouse'",
        "nothing expected POST /v1/chat/completions model='qwen' messages=[{'role': 'user', 'content': 'hi'}] → 200",
    ]
    assert "expected at least 1 time, arrived 0 times: llmJobRequest" in str(surprises([Expected("llmJobRequest")], []))


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ("jobReqest", ValueError, "did you mean 'jobRequest'"),
        ("FETCH /v1", ValueError, "a method and a path"),
        (7, TypeError, "a name or a pair"),
        ((7, {}), TypeError, "named by a string"),
        (("jobRequest", {"times": "often"}), TypeError, "times must be an integer"),
        (("jobRequest", {"times": -1}), ValueError, "must not be negative"),
    ],
)
def test_what_cannot_be_expected(entry: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Expected.of(entry)


def test_violations_are_listed() -> None:
    assert violations_message([Violation("GET /nowhere", "there is no such route")]) == (
        "the emulator noticed 1 violation(s) of the protocol:\n  GET /nowhere: there is no such route"
    )


def test_an_emulator_asserts_what_it_received(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect().create(job_request(frame=key_frame(positivePrompt="a kite")))
    (frame,) = supernet.assert_requested("jobRequest", positive_prompt="a kite", times=1)
    assert isinstance(frame, RecordedFrame)
    supernet.assert_not_requested("jobRequest", positive_prompt="a boat")
    supernet.assert_only_requested("jobRequest")
    with pytest.raises(AssertionError, match="positive_prompt: 'a boat'"):
        supernet.assert_requested("jobRequest", positive_prompt="a boat", timeout=0)
    with pytest.raises(AssertionError, match="expected not to arrive"):
        supernet.assert_not_requested("jobRequest")
    with pytest.raises(AssertionError, match="nothing expected jobRequest"):
        supernet.assert_only_requested()


def test_an_unknown_route_is_a_violation(wire: Wire, supernet: LocalSupernet) -> None:
    assert (wire.get("/v1/nowhere").status_code, wire.ask("POST", "/v1/account/me").status_code) == (404, 405)
    assert [it.where for it in supernet.violations] == ["GET /v1/nowhere", "POST /v1/account/me"]
