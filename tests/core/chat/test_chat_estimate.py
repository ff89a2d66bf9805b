"""The token counts in a request for a chat estimate (chat §8)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sogni.core.chat.requests import chat_estimate_call, input_tokens, output_tokens
from sogni.models.chat import LLMModelInfo, LLMRange
from tests.tables import each_row

ONE_WORD = [{"role": "user", "content": "Say one word"}]
LIVE = LLMModelInfo(workers=2, max_output_tokens=LLMRange(min=1, max=9000, default=3000, thinking_complex_default=8000))
PLAIN = LLMModelInfo(workers=4)


def image(**inside: Any) -> list[Any]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": inside}]}]


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        (ONE_WORD, 11),
        ([{"role": "assistant", "content": None}, {"role": "user", "content": ""}], 17),
        (
            [
                {"role": "system", "content": "\u00f8 \u2014 \u2603"},
                {"role": "user", "content": '\u65e5\u672c\u8a9e "quoted"\nline'},
            ],
            22,
        ),
        ([], 1),
        (["\U0001f600" * 10], 6),  # outside the BMP a character counts two: 24 code units
        (["\ud83d"], 2),  # half a pair counts as one
    ],
)
def test_input_tokens_are_a_quarter_of_the_compact_json(messages: list[Any], tokens: int) -> None:
    assert input_tokens(messages) == tokens


def test_a_whole_number_counts_without_its_decimal_point() -> None:
    assert input_tokens([{"n": 1.0, "m": 0.5}]) == input_tokens([{"n": 1, "m": 0.5}])


@pytest.mark.parametrize("detail", [{}, {"detail": ""}, {"detail": "high"}])
def test_the_address_of_an_image_does_not_count(detail: dict[str, str]) -> None:
    kept = {"detail": "high"} if detail.get("detail") else {}
    counted = input_tokens(image(url="data:image/png;base64," + "A" * 4000, **detail, other=5))
    assert counted == input_tokens(image(url="[image]", **kept))


def test_a_part_that_holds_no_image_counts_as_it_is() -> None:
    assert input_tokens([{"type": "image_url", "image_url": "x" * 36}]) == math.ceil((37 + 36) / 4)


@each_row(
    ("given", "info", "think", "profile", "tokens"),
    [
        (None, None, None, None, 4096),
        (0, LIVE, None, None, 0),
        (512, LIVE, True, "coding", 512),
        (math.inf, LIVE, None, None, 3000),
        (math.nan, None, None, None, 4096),
        ("512", LIVE, None, None, 3000),
        (True, LIVE, None, None, 3000),
        (None, LIVE, None, None, 3000),
        (None, PLAIN, None, None, 4096),
        (None, LIVE, True, "coding", 8000),
        (None, LIVE, True, "reasoning", 8000),
        (None, LIVE, True, "general", 3000),
        (None, LIVE, False, "coding", 3000),
        (None, LIVE, None, "coding", 3000),
        (None, LLMModelInfo(max_output_tokens=LLMRange(default=700)), True, "coding", 700),
        (None, LLMModelInfo(max_output_tokens=LLMRange(max=700)), None, None, 4096),
    ],
)
def test_output_tokens_are_the_limit_given_else_the_models_else_the_services(
    given: Any, info: LLMModelInfo | None, think: bool | None, profile: str | None, tokens: float
) -> None:
    assert output_tokens(given, info, think=think, task_profile=profile) == tokens


@pytest.mark.parametrize(
    ("model", "tokens_out", "token_type", "path"),
    [
        ("qwen3-vec", 4096, "sogni", "sogni/qwen3-vec/11/4096"),
        ("qwen3-vec", 0, "spark", "spark/qwen3-vec/11/0"),
        ("maker/model 1?", 8000.0, "sogni", "sogni/maker%2Fmodel%201%3F/11/8000"),
    ],
)
def test_each_piece_of_the_address_is_encoded(model: str, tokens_out: float, token_type: str, path: str) -> None:
    call = chat_estimate_call(model, 11, tokens_out, token_type)
    assert (call.method, call.host, call.path) == ("GET", "socket", f"/api/v1/job-llm/estimate/{path}")
