"""Fuzzing: runs, workflows, templates and records with any values are read, and written back unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sogni import (
    ChatRunEvent,
    ChatRunRecord,
    ReplayRecordSummary,
    RunRecord,
    WorkflowEvent,
    WorkflowRecord,
    WorkflowTemplate,
)
from sogni.core.workflows.event_readers import RunEventReader, WorkflowFrameReader
from sogni.models.converter import from_dict, to_dict

NAMES = [
    "status", "title", "input", "plan", "steps", "events", "artifacts", "error", "createTime", "createdAt", "payload",
    "sequence", "type", "at", "waiting", "timestamps", "messages", "toolCalls", "mediaContext", "finalResponse",
    "inputs", "stages", "author", "exposeToLLM", "tags", "rounds", "schemaVersion", "schema_version", "extra", "id",
]  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(NAMES) | st.text(), values, max_size=8)


KINDS: list[tuple[type[Any], dict[str, str]]] = [
    (ChatRunEvent, {}),
    (ChatRunRecord, {"runId": "r"}),
    (WorkflowEvent, {}),
    (WorkflowRecord, {"workflowId": "w"}),
    (WorkflowTemplate, {"name": "n"}),
    (RunRecord, {"run_id": "r"}),
    (ReplayRecordSummary, {}),
]


@settings(max_examples=200)
@given(st.sampled_from(KINDS), objects)
def test_any_object_is_read_and_shown(kind: tuple[type[Any], dict[str, str]], given: dict[str, Any]) -> None:
    cls, required = kind
    made = from_dict(cls, {**given, **required})
    assert repr(made)
    again = to_dict(made)
    json.dumps(again)
    assert to_dict(from_dict(cls, again)) == again


@pytest.mark.parametrize("reader", [RunEventReader, WorkflowFrameReader])
@given(data=values)
def test_any_data_of_a_stream_is_read(reader: Any, data: Any) -> None:
    reader("x").read(f"id: 1\ndata: {json.dumps(data)}")
