"""Which projects the lines of a batch file ask for, and what they are known by."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sogni.core.projects.batch_requests import BatchRequest, LineFinding, batch_requests, refuse_lines
from sogni.errors import ValidationError
from sogni.models.params import AudioProjectParams, ImageProjectParams

IMAGES = {"type": "image", "model_id": "m", "steps": 4}
COMMON = {"network": "relaxed"}


def requests(*lines: str, **defaults: Any) -> list[BatchRequest]:
    return batch_requests(lines, {**IMAGES, **defaults}, common=COMMON)


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
    with pytest.raises(ValidationError, match=r"^line 7: it is torn$"):
        refuse_lines([LineFinding(line=7, message="it is torn")])
