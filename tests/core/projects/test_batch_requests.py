"""The projects that the rows of a batch ask for, and their keys."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from sogni.core.projects.batch_requests import (
    BatchRequest,
    BatchRow,
    LineFinding,
    batch_requests,
    line_rows,
    may_succeed_again,
    refuse_lines,
    row_place,
)
from sogni.errors import (
    PartialFailureError,
    ProjectCanceledError,
    ProjectFailedError,
    RateLimitError,
    SogniConnectionError,
    SogniError,
    ValidationError,
    WorkerError,
)
from sogni.models.params import AudioProjectParams, ControlNetParams, ImageProjectParams
from tests.tables import each_row

IMAGES = {"type": "image", "model_id": "m", "steps": 4}
COMMON = {"network": "relaxed"}


def requests(*lines: str, **defaults: Any) -> list[BatchRequest]:
    found, findings = batch_requests(line_rows(lines), {**IMAGES, **defaults}, common=COMMON)
    refuse_lines(findings)
    return found


def of_rows(*contents: Any, defaults: Any = IMAGES) -> tuple[list[BatchRequest], list[LineFinding]]:
    rows = [BatchRow(line=number, place=f"row {number}", content=it) for number, it in enumerate(contents, 1)]
    return batch_requests(rows, defaults, common={})


def test_a_line_is_a_prompt_or_an_object_with_fields() -> None:
    found = requests(
        "\ufeffa fox\n",
        "",
        "   ",
        "# not this one",
        json.dumps({"positive_prompt": "an owl", "steps": 9, "network": "fast"}),
        json.dumps({"type": "audio", "model_id": "ace_step_1.5_turbo", "positive_prompt": "a kite"}),
    )
    assert [it.line for it in found] == [1, 5, 6]
    assert [it.params for it in found] == [
        ImageProjectParams(model_id="m", positive_prompt="a fox", steps=4, network="relaxed"),
        ImageProjectParams(model_id="m", positive_prompt="an owl", steps=9, network="fast"),
        AudioProjectParams(model_id="ace_step_1.5_turbo", positive_prompt="a kite", network="relaxed"),
    ]
    assert found[0].fields == {**IMAGES, **COMMON, "positive_prompt": "a fox"}


def test_a_request_is_known_again_wherever_it_stands() -> None:
    first = {it.fields["positive_prompt"]: it.key for it in requests("a fox", "an owl")}
    later = {
        it.fields["positive_prompt"]: it.key for it in requests("a hare", "an owl", "", '{"positive_prompt": "a fox"}')
    }
    assert (first["a fox"], first["an owl"]) == (later["a fox"], later["an owl"])
    (changed,) = requests("a fox", steps=5)
    assert changed.key != first["a fox"]


def test_the_same_request_twice_is_two() -> None:
    keys = [it.key for it in requests("a fox", "a fox", "a fox")]
    assert (len(set(keys)), keys[:2]) == (3, [it.key for it in requests("a fox", "a fox")])


def test_a_line_may_name_the_idempotency_key_of_its_project() -> None:
    named, other = requests('{"positive_prompt": "a fox", "idempotency_key": "one"}', '{"idempotency_key": null}')
    assert (named.idempotency_key, named.params.positive_prompt, other.idempotency_key) == ("one", "a fox", None)
    assert named.fields["idempotency_key"] == "one"
    with pytest.raises(ValidationError) as caught:
        requests('{"idempotency_key": "one"}', '{"idempotency_key": ""}', "", '{"idempotency_key": "one"}')
    assert [str(it) for it in caught.value.findings] == [
        "line 2: idempotency_key must be a string of 1 to 255 characters, got ''",
        "line 4: line 1 has the same idempotency_key",
    ]


def test_all_mistakes_are_told_at_once_with_their_lines() -> None:
    with pytest.raises(ValidationError) as caught:
        requests("a fox", '{"prompt": 1}', "{", '{"steps": "many"}', '{"type": "poem", "model_id": "m"}')
    error = caught.value
    assert [it.line for it in error.findings] == [2, 3, 4, 5]
    assert error.field == "line 2"
    said = [str(it) for it in error.findings]
    assert said[0].startswith("line 2: image projects have no keyword 'prompt'")
    assert said[1].startswith("line 3: not a JSON object: ")
    assert said[2].startswith("line 4: steps must be an integer, got 'many'")
    assert "'poem'" in said[3]


def test_a_line_without_what_it_needs_is_refused() -> None:
    with pytest.raises(ValidationError, match="line 1: the keyword 'model_id' is missing"):
        requests('{"type": "video"}')


def test_nothing_wrong_is_no_error() -> None:
    refuse_lines([])
    with pytest.raises(ValidationError, match=r"^list.txt:7: it is torn$"):
        refuse_lines([LineFinding(line=7, place=row_place("list.txt", 7), message="it is torn")])


def test_a_row_may_be_a_params_object_or_a_printed_project() -> None:
    params = ImageProjectParams(model_id="m", positive_prompt="a fox", starting_image=b"png", width=256, height=256)
    printed = {"params": {"type": "image", "modelId": "m", "disableNSFWFilter": True}, "jobs": []}
    reported = {"line": 3, "status": "failed", "error": "lost", "request": {"positive_prompt": "an owl"}}
    other = {"params": {"type": "poem"}, "jobs": []}
    found, findings = of_rows(params, printed, reported, other, 7, {"params": "of what"})
    assert [it.fields for it in found] == [
        {**IMAGES, "positive_prompt": "a fox", "starting_image": b"png", "width": 256, "height": 256},
        {**IMAGES, "disable_nsfw_filter": True},
        {**IMAGES, "positive_prompt": "an owl"},
    ]
    assert (found[0].params.starting_image, len({it.key for it in found})) == (b"png", 3)
    assert [it.line for it in findings] == [4, 5, 6]
    assert (findings[1].field, findings[1].value, findings[1].error.value) == ("request", 7, 7)


def test_a_template_row_outranks_the_defaults_and_is_no_request() -> None:
    found, _ = of_rows("a fox", {"positive_prompt": "*", "steps": 7}, {"positive_prompt": "an owl", "steps": 9})
    assert [(it.line, it.params.steps) for it in found] == [(1, 7), (3, 9)]
    audio = {"positive_prompt": "*", "type": "audio", "model_id": "ace_step_1.5_turbo"}
    found, _ = of_rows("a kite", {"type": "image", "model_id": "m"}, audio, defaults=IMAGES)
    assert [type(it.params) for it in found] == [AudioProjectParams, ImageProjectParams]
    (untyped,), _ = of_rows("a fox", defaults={"model_id": "m"})
    assert untyped.params == ImageProjectParams(model_id="m", positive_prompt="a fox")


def test_values_are_known_again_by_their_content(tmp_path: Path) -> None:
    net = ControlNetParams(name="canny", image="a.png")
    keys = [
        of_rows({"positive_prompt": "a fox", "starting_image": image, "control_net": net})[0][0].key
        for image in (tmp_path, str(tmp_path), bytearray(b"a"), b"a", b"b")
    ]
    assert (keys[0] == keys[1], keys[2] == keys[3], len(set(keys))) == (True, True, 3)
    _, (finding,) = of_rows({"positive_prompt": "a fox", "starting_image": io.BytesIO()})
    assert finding.message.startswith("request must be strings, numbers, paths and bytes, by which")


@each_row(
    ("expected", "error"),
    [
        (True, ProjectFailedError("lost", code=5002)),
        (True, ProjectFailedError("unknown")),
        (True, RateLimitError("slower")),
        (True, SogniConnectionError("gone")),
        (True, WorkerError("killed")),
        (False, ProjectFailedError("refused", code=4104)),
        (False, ProjectCanceledError("canceled")),
        (False, PartialFailureError("some")),
        (False, ValidationError("invalid")),
    ],
)
def test_errors_tell_whether_a_repetition_may_succeed(expected: bool, error: SogniError) -> None:
    assert may_succeed_again(error) is expected
