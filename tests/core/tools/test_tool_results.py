"""Messages to the model about a tool call (tools §4.3)."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import attrs
import pytest

from sogni.core.tools.results import failed, media_content, message_of, succeeded, value_text
from sogni.errors import ValidationError
from sogni.models.converter import from_dict, to_dict
from sogni.models.tools import ToolCall, ToolCallFunction, ToolExecutionProgress, ToolExecutionResult
from tests.tables import each_row

CALL = ToolCall(id="1", function=ToolCallFunction(name="generate_image"))


@attrs.frozen
class Day:
    mean_temp: float


@dataclasses.dataclass
class Week:
    day_list: list[Day]


def test_a_success() -> None:
    content = media_content("image", ["https://x/é.png"], "m", "a kite")
    frames = media_content("video", ["u", "v"], "m", "a kite", [None, "f"])
    assert '"urls":["u","v"],"lastFrameUrls":[null,"f"],"model"' in frames
    assert media_content("image", ["https://x/é.png"], "m", "a kite", [None]) == content
    result = succeeded(CALL, content, ["https://x/é.png"])
    assert content == '{"success":true,"media_type":"image","urls":["https://x/é.png"],"model":"m","prompt":"a kite"}'
    assert to_dict(result) == {
        "toolCallId": "1",
        "toolName": "generate_image",
        "success": True,
        "resultUrls": ["https://x/é.png"],
        "content": content,
    }
    assert from_dict(ToolExecutionResult, to_dict(result)) == result


def test_a_failure() -> None:
    result = failed(CALL, "no way")
    assert (result.success, result.result_urls, result.error) == (False, [], "no way")
    assert result.content == '{"success":false,"error":"no way"}'


@each_row(
    ("value", "text"),
    [
        ("as it is", "as it is"), (None, "null"), (3, "3"), ({"a": [1, "é"]}, '{"a":[1,"é"]}'),
        (Day(1.5), '{"mean_temp":1.5}'), (Week([Day(1)]), '{"day_list":[{"mean_temp":1}]}'),
        ((date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)), '["2026-01-02","2026-01-02T00:00:00+00:00"]'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'), (Decimal("1.50"), '"1.50"'), ({3}, "[3]"),
        (CALL, '{"id":"1","type":"function","function":{"name":"generate_image","arguments":""}}'),
    ],
)  # fmt: skip
def test_what_a_function_returned(value: Any, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize("value", [object(), float("nan"), Day])
def test_what_json_cannot_carry(value: Any) -> None:
    with pytest.raises(ValidationError, match="cannot be written as JSON"):
        value_text(value)


def test_reasons() -> None:
    assert [message_of(ValueError("x ")), message_of(ValueError())] == ["x", "ValueError"]


def test_no_signature_shows() -> None:
    url = "https://store/x.png?X-Amz-Signature=abcdef"
    shown = repr(
        [succeeded(CALL, media_content("image", [url], "m", "p"), [url]),
         ToolExecutionProgress(status="completed", result_urls=[url]), ToolExecutionProgress(status="queued")]
    )  # fmt: skip
    assert "abcdef" not in shown
    assert "https://store/x.png" in shown
    assert json.loads(json.dumps(to_dict(ToolExecutionProgress(status="queued")))) == {"status": "queued", "percent": 0}
