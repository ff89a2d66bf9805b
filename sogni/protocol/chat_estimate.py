"""What a completion would cost: decides how many tokens are asked about (chat §8).

Called by the estimate of `client.chat`. Input tokens are a formula over the text of the messages, so that
every client asks the same; it is no tokenizer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any
from urllib.parse import quote

from ..errors import ProtocolError
from ..models.chat import LLMCostEstimation, LLMModelInfo
from ..models.converter import read
from .http import HttpCall, get, number_text

USUAL_OUTPUT = 4096
CHARACTERS_PER_TOKEN = 4
COMPLEX_PROFILES = frozenset({"coding", "reasoning"})
_PATH_SAFE = "-_.!~*'()"


def input_tokens(messages: list[Any]) -> int:
    """A quarter of the UTF-16 length of the messages' compact JSON, addresses of images left out."""
    return math.ceil(text_length(messages) / CHARACTERS_PER_TOKEN)


def text_length(value: Any) -> int:
    """The UTF-16 length of the compact JSON of messages, or of one of them, addresses of images left out."""
    text = json.dumps(_counted(value), ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _counted(value: Any) -> Any:
    if isinstance(value, list):
        return [_counted(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, Mapping):
        return value
    image = value.get("image_url")
    if value.get("type") == "image_url" and isinstance(image, Mapping):
        detail = {"detail": image["detail"]} if image.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": "[image]", **detail}}
    return {key: _counted(item) for key, item in value.items()}


def output_tokens(
    max_tokens: float | None, info: LLMModelInfo | None, *, think: bool | None, task_profile: str | None
) -> float:
    """The limit that was given as a finite number, else the model's own, else the service's."""
    if isinstance(max_tokens, Real) and not isinstance(max_tokens, bool) and math.isfinite(max_tokens):
        return max_tokens
    limits = info.max_output_tokens if info is not None else None
    if limits is None:
        return USUAL_OUTPUT
    if think is True and task_profile in COMPLEX_PROFILES and limits.thinking_complex_default is not None:
        return limits.thinking_complex_default
    return USUAL_OUTPUT if limits.default is None else limits.default


def chat_estimate_call(model: str, tokens_in: int, tokens_out: float, token_type: str) -> HttpCall:
    """The call that asks for the price."""
    segments = [token_type, model, str(tokens_in), number_text(tokens_out)]
    path = "/".join(quote(segment, safe=_PATH_SAFE, errors="surrogatepass") for segment in segments)
    return get(f"/api/v1/job-llm/estimate/{path}", host="socket")


def read_chat_estimate(data: Any) -> LLMCostEstimation:
    """The price in an answer. ProtocolError for any other."""
    quoted = data.get("quote") if isinstance(data, Mapping) else None
    if not isinstance(quoted, Mapping):
        raise ProtocolError("the estimate holds no quote")
    return read(LLMCostEstimation, quoted, "the estimate")
