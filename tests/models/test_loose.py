"""Records with a loose schema keep every value, whatever its type."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sogni import (
    ChatRunEvent,
    MediaContext,
    MediaReference,
    ProtocolError,
    TemplateAuthor,
    WorkflowEvent,
    WorkflowRecord,
    WorkflowTemplate,
)
from sogni.models.converter import from_dict, to_dict


def test_a_field_that_does_not_fit_is_kept_as_sent() -> None:
    event = from_dict(ChatRunEvent, {"sequence": 1, "type": "tick", "at": "t"})
    assert event == ChatRunEvent(sequence=1, type="tick", extra={"at": "t"})
    assert to_dict(event) == {"sequence": 1, "type": "tick", "at": "t"}


def test_what_fits_beside_it_is_read() -> None:
    record = from_dict(
        WorkflowRecord, {"workflowId": "w", "createTime": 1_700_000_000_000, "artifacts": [{"url": 5}, 1]}
    )
    assert record.create_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (record.artifacts, record.extra) == ([], {"artifacts": [{"url": 5}, 1]})


def test_what_must_be_there_must_fit() -> None:
    with pytest.raises(ProtocolError, match="workflow_id"):
        from_dict(WorkflowRecord, {"workflowId": 5})


@pytest.mark.parametrize("author", ["system", {"userId": "u"}])
def test_an_author_is_an_object_or_a_word(author: object) -> None:
    template = from_dict(WorkflowTemplate, {"name": "n", "author": author})
    assert template.author == ("system" if author == "system" else TemplateAuthor(user_id="u"))
    assert to_dict(template) == {"name": "n", "author": author}


@pytest.mark.parametrize(("given", "id"), [(7, 7), ("e7", "e7"), (True, None)])
def test_an_id_is_a_number_or_a_text(given: object, id: object) -> None:
    assert from_dict(WorkflowEvent, {"id": given}).id == id


def test_a_time_that_travels_as_milliseconds_stays_so() -> None:
    wire = {"workflowId": "w", "steps": [], "events": [], "artifacts": [], "createTime": 1_700_000_000_123}
    assert to_dict(from_dict(WorkflowRecord, wire)) == wire


def test_what_is_shown_of_free_data_has_no_signed_queries() -> None:
    signed = "https://store/a?X-Amz-Signature=5eec05d2"
    data = {"workflowId": "w", "artifacts": [{"url": signed}], "plan": {"url": signed}, "other": [signed]}
    for value in (
        from_dict(WorkflowRecord, data),
        ChatRunEvent(payload={"url": signed}),
        WorkflowEvent(data=signed),
        MediaReference(url=signed),
        MediaContext(images=[signed]),
    ):
        assert "https://store/a" in repr(value)
        assert "5eec05d2" not in repr(value)
        assert "5eec05d2" in str(to_dict(value))
