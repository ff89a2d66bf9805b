"""Requests for runs, workflows, templates and replay records, and parsing the responses."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import sogni.core.replay as replay_calls
import sogni.core.workflows.requests as workflow_calls
import sogni.core.workflows.runs as run_calls
import sogni.core.workflows.templates as template_calls
from sogni.core.checks import json_list, json_object, json_ready
from sogni.core.http import HttpCall, HttpReply
from sogni.core.workflows.reference_media import reference_upload
from sogni.core.workflows.requests import artifact_paths
from sogni.errors import ApiError, ChatError, ConflictError, ProtocolError, ServerError, ValidationError
from sogni.models.chat import MediaContext
from sogni.models.converter import from_dict
from sogni.models.replay import ReplayRecordSummary, ReplayWriteResult, RunRecord
from sogni.models.runs import ChatRunRecord, CostApprovalPreview, RunFinalResponse, RunRuntimeConfig
from sogni.models.workflows import (
    MediaReference,
    TemplateInput,
    WorkflowArtifact,
    WorkflowInput,
    WorkflowRecord,
    WorkflowStep,
    WorkflowTemplate,
)
from tests.tables import each_row

HELLO = [{"role": "user", "content": "hello"}]
PLAN = {"title": "T", "steps": [{"toolName": "generate_image", "arguments": {"prompt": "x"}}]}
MOMENT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
ASKED = HttpCall(method="GET", path="/v1/x")


def reply(body: Any, status: int = 200) -> HttpReply:
    return HttpReply(status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode())


def enveloped(**data: Any) -> HttpReply:
    return reply({"status": "success", "data": data})


# -- runs ----------------------------------------------------------------------


def create(source: str | None = None, **given: Any) -> HttpCall:
    return run_calls.create_run_call({"messages": HELLO, **given}, source, "key")


def test_a_run_needs_its_messages_only() -> None:
    call = create()
    assert (call.method, call.path, call.body) == ("POST", "/v1/chat/runs", {"messages": HELLO})
    assert (call.headers, call.repeatable) == ({"Idempotency-Key": "key"}, True)


def test_a_run_has_everything_that_is_given() -> None:
    call = create(
        "client",
        tools=[{"type": "function"}],
        tool_choice="auto",
        model="m",
        sampling={"temperature": 0.5},
        media_references=[MediaReference(url="https://x/a")],
        media_context=MediaContext(images=["http://x/b"], uploaded_images=[" https://x/c"]),
        max_estimated_capacity_units=0,
        confirm_cost=False,
        session_id="s",
        client_message_id="c",
        token_type="spark",
        billing_mode="auto",
        runtime_config=RunRuntimeConfig(quality_tier="hq"),
    )
    assert call.body == {
        "messages": HELLO,
        "tools": [{"type": "function"}],
        "tool_choice": "auto",
        "model": "m",
        "sampling": {"temperature": 0.5},
        "media_references": [{"url": "https://x/a"}],
        "media_context": {"images": ["http://x/b"], "videos": [], "audio": [], "uploadedImages": [" https://x/c"]},
        "max_estimated_capacity_units": 0,
        "confirm_cost": False,
        "session_id": "s",
        "client_message_id": "c",
        "token_type": "spark",
        "app_source": "client",
        "billing_mode": "auto",
        "runtime_config": {"qualityTier": "hq"},
    }
    assert call.headers["X-App-Source"] == "client"


def test_an_empty_text_is_left_out_of_a_run() -> None:
    assert create(model="", session_id="", token_type="", billing_mode="").body == {"messages": HELLO}


def test_an_empty_list_or_object_is_sent_with_a_run() -> None:
    given = {"tools": [], "sampling": {}, "media_references": [], "media_context": {}, "runtime_config": {}}
    assert create(**given).body == {"messages": HELLO, **given}


def test_a_source_of_the_call_outranks_that_of_the_client() -> None:
    assert create("client", app_source="call").body["app_source"] == "call"


def test_contexts_and_configurations_may_be_dicts_of_either_spelling() -> None:
    call = create(media_context={"uploaded_images": ["http://x"]}, runtime_config={"qualityTier": "pro", "other": 1})
    assert call.body["media_context"] == {"uploadedImages": ["http://x"]}
    assert call.body["runtime_config"] == {"qualityTier": "pro", "other": 1}


def test_all_media_that_nobody_can_reach_are_named() -> None:
    messages = [
        {"role": "user", "content": "text"},
        {"role": "user", "content": [5]},
        {
            "role": "user",
            "content": [{"type": "text"}, 5, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://x"}},
                {"type": "image_url", "image_url": 5},
            ],
        },
    ]
    references = [{"url": "file:///a"}, "odd", {"url": " "}, {"dataUri": "x", "data_uri": "y", "url": 5}]
    context = {"images": ["HTTP://x", "/b", 5, ""], "uploaded_audio": ["ftp://x"], "videos": None}
    with pytest.raises(ValidationError) as caught:
        create(messages=messages, media_references=references, media_context=context)
    assert caught.value.value == (
        "messages[2].content[2].image_url.url",
        "media_references[0].url",
        "media_references[3].dataUri",
        "media_references[3].data_uri",
        "media_context.images[1]",
        "media_context.uploaded_audio[0]",
    )
    assert caught.value.field == "messages[2].content[2].image_url.url"
    assert "media_context.images[1]" in str(caught.value)


@each_row(
    "given",
    [
        {"messages": "hello"}, {"messages": HELLO, "tools": "x"}, {"messages": [float("nan")]}, {"sampling": 5},
        {"media_references": {"url": "https://x"}}, {"confirm_cost": 1}, {"max_estimated_capacity_units": "1"},
        {"billing_mode": "free"}, {"model": 5}, {"messages": [{"a": object()}]}, {"media_context": []},
    ],
)  # fmt: skip
def test_what_no_run_can_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        create(**given)


@pytest.mark.parametrize("key", ["", "a\r\nb", "é", 5])
def test_a_key_must_fit_into_a_header(key: Any) -> None:
    with pytest.raises(ValidationError, match="idempotency_key"):
        run_calls.create_run_call({"messages": HELLO}, None, key)


def test_a_run_is_got_and_canceled_by_its_id() -> None:
    assert run_calls.get_run_call("a/b ü").path == "/v1/chat/runs/a%2Fb%20%C3%BC"
    assert run_calls.cancel_run_call("r", None).body == run_calls.cancel_run_call("r", "").body == {}
    call = run_calls.cancel_run_call("r", "enough")
    assert (call.path, call.body, call.repeatable) == ("/v1/chat/runs/r/cancel", {"reason": "enough"}, False)


def test_a_cost_is_confirmed_with_the_preview_as_it_came() -> None:
    preview = {"totalEstimatedCapacityUnits": 2.5, "validityUntil": "2026-01-01T00:00:00.000Z", "new": [1]}
    typed = from_dict(CostApprovalPreview, preview)
    for given in (preview, typed):
        call = run_calls.confirm_cost_call(
            "r",
            {"tool_call_id": "t", "decision": "confirm", "accepted_cost_preview": given, "overrides": {"a": 1}},
            "k",
        )
        assert call.path == "/v1/chat/runs/r/confirm-cost"
        assert call.body["acceptedCostPreview"] == preview
        assert {name: it for name, it in call.body.items() if name != "acceptedCostPreview"} == {
            "tool_call_id": "t",
            "decision": "confirm",
            "overrides": {"a": 1},
        }
    assert call.headers == {"Idempotency-Key": "k"}


def test_canceling_a_cost_needs_no_preview_but_confirming_does() -> None:
    call = run_calls.confirm_cost_call("r", {"tool_call_id": "t", "decision": "cancel", "reason": "no"}, "k")
    assert call.body == {"tool_call_id": "t", "decision": "cancel", "reason": "no"}
    for given in ({"decision": "confirm"}, {"decision": "maybe"}, {"decision": "cancel", "tool_call_id": ""}):
        with pytest.raises(ValidationError):
            run_calls.confirm_cost_call("r", {"tool_call_id": "t", **given}, "k")


def test_a_run_is_read_from_its_envelope() -> None:
    run = run_calls.read_run(
        ASKED, enveloped(run={"runId": "r", "status": "completed", "finalResponse": {"content": "y"}})
    )
    assert run == ChatRunRecord(run_id="r", status="completed", final_response=RunFinalResponse(content="y"))
    assert (run.ended, run.content) == (True, "y")
    assert (ChatRunRecord(run_id="r").ended, ChatRunRecord(run_id="r").content) == (False, "")
    for answer in (enveloped(), reply({"data": []}), enveloped(run=5)):
        with pytest.raises(ProtocolError):
            run_calls.read_run(ASKED, answer)


@pytest.mark.parametrize(
    ("body", "chat"),
    [
        ({"error": {"code": "4078", "type": "subscription_unavailable"}, "message": "no plan"}, True),
        ({"status": "error", "message": "no plan", "errorCode": 7}, False),
    ],
)
def test_a_refusal_says_what_a_failed_chat_would(body: Any, chat: bool) -> None:
    with pytest.raises(ApiError, match="no plan") as caught:
        run_calls.read_run(ASKED, reply(body, 403))
    assert isinstance(caught.value, ChatError) is chat


# -- workflows -----------------------------------------------------------------


def start(source: str | None = None, **given: Any) -> HttpCall:
    return workflow_calls.start_call(given, source, "key")


def test_a_plan_is_started_in_the_words_of_the_wire() -> None:
    typed = WorkflowInput(title="T", steps=[WorkflowStep(tool_name="generate_image", arguments={"prompt": "x"})])
    snake = {"title": "T", "steps": [{"tool_name": "generate_image", "arguments": {"prompt": "x"}}]}
    for plan in (PLAN, typed, snake):
        assert start(input=plan).body == {"input": PLAN}


def test_a_start_has_everything_that_is_given() -> None:
    call = start(
        workflow_id="tpl",
        inputs={"a": 1},
        media_references=[{"url": "https://x"}],
        token_type="spark",
        billing_mode="tokens",
        confirm_cost=False,
        max_estimated_capacity_units=0,
        safe_content_filter=False,
        app_source="app",
    )
    assert call.body == {
        "workflow_id": "tpl",
        "inputs": {"a": 1},
        "token_type": "spark",
        "app_source": "app",
        "max_estimated_capacity_units": 0,
        "confirm_cost": False,
        "media_references": [{"url": "https://x"}],
        "billing_mode": "tokens",
        "safe_content_filter": False,
    }
    assert (call.path, call.repeatable) == ("/v1/creative-agent/workflows", True)
    assert call.headers == {"Idempotency-Key": "key", "X-App-Source": "app"}


def test_an_empty_text_is_left_out_of_a_start_but_empty_inputs_are_sent() -> None:
    call = start(workflow_id="tpl", inputs={}, token_type="", billing_mode="")
    assert call.body == {"workflow_id": "tpl", "inputs": {}}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "input"),
        ({"input": PLAN, "workflow_id": "tpl"}, "input"),
        ({"input": PLAN, "inputs": {}}, "inputs"),
        ({"input": PLAN, "media_references": [{"url": "data:x"}, {"data_uri": "y"}]}, "media_references[0].url"),
        ({"input": PLAN, "media_references": {"url": "https://x"}}, "media_references"),
        ({"input": {"steps": [{"toolName": 5}]}}, "input.steps[0].toolName"),
        ({"workflow_id": 5}, "workflow_id"),
    ],
)
def test_what_cannot_be_started_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        start(**given)
    assert (caught.value.field or "").replace("tool_name", "toolName") == field


def test_workflows_are_listed_in_pages() -> None:
    assert workflow_calls.list_call(None, None).query == ()
    assert workflow_calls.list_call(0, 0).query == (("limit", "0"), ("offset", "0"))
    with pytest.raises(ValidationError):
        workflow_calls.list_call(1.5, None)


def test_one_workflow_is_asked_about_by_its_id() -> None:
    assert workflow_calls.get_call("a b").path == "/v1/creative-agent/workflows/a%20b"
    assert workflow_calls.events_call("w").path == "/v1/creative-agent/workflows/w/events"
    call = workflow_calls.cancel_call("w")
    assert (call.method, call.path, call.body) == ("POST", "/v1/creative-agent/workflows/w/cancel", None)


def test_a_workflow_is_resumed() -> None:
    call = workflow_calls.resume_call("w", {}, None)
    assert (call.body, call.headers, call.repeatable) == ({}, {}, False)
    call = workflow_calls.resume_call("w", {"token_type": "sogni", "billing_mode": "auto"}, "client")
    assert call.body == {"token_type": "sogni", "app_source": "client", "billing_mode": "auto"}
    assert call.headers == {"X-App-Source": "client"}


def test_another_take_has_other_seeds() -> None:
    assert workflow_calls.reseed_call("w", {}, None, "k").body == {}
    call = workflow_calls.reseed_call("w", {"seed_overrides": {"s": 1}, "token_type": "spark"}, None, "k")
    assert (call.path, call.body) == (
        "/v1/creative-agent/workflows/w/reseed",
        {"seed_overrides": {"s": 1}, "token_type": "spark"},
    )
    assert (call.headers, call.repeatable) == ({"Idempotency-Key": "k"}, True)
    with pytest.raises(ValidationError, match="seed_overrides\\['s'\\]"):
        workflow_calls.reseed_call("w", {"seed_overrides": {"s": "1"}}, None, "k")


def test_workflow_answers_are_read() -> None:
    raw = {"workflowId": "w", "status": "partial_failure", "createTime": 1_700_000_000_000, "artifacts": [{"url": "u"}]}
    record = WorkflowRecord(
        workflow_id="w", status="partial_failure", create_time=MOMENT, artifacts=[WorkflowArtifact(url="u")]
    )
    assert workflow_calls.read_workflow(ASKED, {"workflow": raw}) == record
    assert (record.ended, WorkflowRecord(workflow_id="w").ended) == (True, False)
    assert workflow_calls.read_workflows(ASKED, {"workflows": [raw]}) == [record]
    assert workflow_calls.read_events(ASKED, {"events": [{"id": 1}]})[0].id == 1
    resumption = workflow_calls.read_resumption(ASKED, {"workflow": raw, "resumed": "true"})
    assert (resumption.workflow, resumption.resumed) == (record, False)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        ({}, ("", [], False)),
        ({"reseed": {"cloned_from_run_id": 5, "steps": {}}, "idempotent": 1}, ("", [], False)),
        ({"reseed": {"cloned_from_run_id": "w0", "steps": [1]}, "idempotent": True}, ("w0", [1], True)),
    ],
)
def test_another_take_tells_where_it_comes_from(data: dict[str, Any], seen: Any) -> None:
    reseed = workflow_calls.read_reseed(ASKED, {"workflow": {"workflowId": "w"}, **data})
    assert (reseed.cloned_from_run_id, reseed.steps, reseed.idempotent) == seen


@pytest.mark.parametrize("answer", [reply({}), reply({"data": []}), reply(b"text")])
def test_an_answer_without_data_is_none(answer: HttpReply) -> None:
    with pytest.raises(ProtocolError):
        workflow_calls.data_in(ASKED, answer)


def test_an_answer_without_the_member_is_none() -> None:
    with pytest.raises(ProtocolError, match=r"data\.workflows"):
        workflow_calls.read_workflows(ASKED, workflow_calls.data_in(ASKED, enveloped(workflow={})))


@pytest.mark.parametrize(
    "body",
    [
        {"status": "error", "message": "no", "errorCode": 7, "data": {"message": "hidden"}},
        {"status": "fail", "data": {"message": "no", "errorCode": 7}},
        {"message": "no", "errorCode": 7},
        {"message": "no", "errorCode": 7, "data": None},
    ],
)
def test_a_refusal_may_hide_its_words_in_its_data(body: Any) -> None:
    with pytest.raises(ConflictError) as caught:
        workflow_calls.data_in(ASKED, reply(body, 409))
    assert (caught.value.message, caught.value.error_code) == ("no", 7)


def test_a_refusal_may_be_a_text() -> None:
    with pytest.raises(ServerError, match="down for a while"):
        workflow_calls.data_in(ASKED, reply(b"down for a while", 500))


# -- templates -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "query"),
    [
        ((None, None, None), ()),
        (("all", 0, 500), (("visibility", "all"), ("offset", "0"), ("limit", "200"))),
        ((None, -1, 0), ()),
        (("own", 40, 20), (("visibility", "own"), ("offset", "40"), ("limit", "20"))),
    ],
)
def test_templates_are_listed_in_pages(given: Any, query: Any) -> None:
    assert template_calls.list_call(*given).query == query


@pytest.mark.parametrize("given", [("mine", None, None), (None, 1.5, None), (None, None, True)])
def test_odd_pages_are_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        template_calls.list_call(*given)


def test_a_template_is_saved_in_the_words_of_the_wire() -> None:
    typed = WorkflowTemplate(
        name="N", expose_to_llm=True, inputs=[TemplateInput(name="a")], stages=[{"tool_name": "x"}], extra={"my_key": 1}
    )
    wire = {"name": "N", "exposeToLLM": True, "inputs": [{"name": "a"}], "stages": [{"tool_name": "x"}], "my_key": 1}
    snake = {**wire, "expose_to_llm": True}
    del snake["exposeToLLM"]
    for template in (typed, wire, snake):
        call = template_calls.create_call(template)
        assert (call.method, call.path, call.body) == ("POST", "/v1/creative-agent/workflows/templates", wire)
        assert not call.repeatable


def test_a_template_is_changed_and_a_field_cleared() -> None:
    call = template_calls.update_call("t", {"description": None, "llm_priority": None, "tags": ["a"], "other": None})
    assert (call.method, call.path) == ("PATCH", "/v1/creative-agent/workflows/templates/t")
    assert call.body == {"description": None, "llmPriority": None, "tags": ["a"], "other": None}


def test_what_is_none_within_a_template_travels_too() -> None:
    given = {"name": "N", "inputs": [{"name": "a", "default": None}], "stages": [{"x": (None,)}]}
    assert template_calls.create_call(given).body == {**given, "stages": [{"x": [None]}]}


def test_a_template_that_holds_itself_is_refused() -> None:
    given: dict[str, Any] = {"name": "N"}
    given["inputs"] = [given]
    with pytest.raises(ValidationError) as caught:
        template_calls.create_call(given)
    assert caught.value.field == "template"


def test_a_template_is_got_deleted_and_copied() -> None:
    assert template_calls.get_call("a/b").path == "/v1/creative-agent/workflows/templates/a%2Fb"
    assert template_calls.delete_call("t").method == "DELETE"
    assert template_calls.fork_call("t", None).body == template_calls.fork_call("t", "").body == {}
    assert template_calls.fork_call("t", "Mine").body == {"newName": "Mine"}
    with pytest.raises(ValidationError):
        template_calls.create_call("text")


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {"status": "success", "data": it}])
@pytest.mark.parametrize("cursor", ["next", "nextCursor"])
def test_a_page_is_read_from_either_envelope(wrap: Any, cursor: str) -> None:
    listed = [{"id": "t", "name": "N", "steps": []}, {"id": "t"}, {"name": "N"}, 5]
    page = template_calls.read_page(ASKED, reply(wrap({"templates": listed, cursor: 40})))
    assert [it.id for it in page.templates] == ["t"]
    assert (page.templates[0].extra, page.next_cursor) == ({"steps": []}, 40)


@pytest.mark.parametrize("first", [None, "40", True, math.inf])
def test_a_cursor_that_is_none_does_not_hide_the_other(first: Any) -> None:
    assert template_calls.read_page(ASKED, reply({"next": first, "nextCursor": 7.0})).next_cursor == 7


@pytest.mark.parametrize("visibility", ["own", "public", "all", "private", "team"])
def test_every_visibility_the_service_names_is_asked_for(visibility: str) -> None:
    """Those of a list and those of a template (workflows §7.1, §7.2)."""
    assert template_calls.list_call(visibility, None, None).query == (("visibility", visibility),)


def test_a_visibility_that_nobody_names_is_refused() -> None:
    with pytest.raises(ValidationError, match="visibility must be one of 'own'"):
        template_calls.list_call("theirs", None, None)


@pytest.mark.parametrize("visibility", [None, ""])
def test_without_a_visibility_none_is_asked_for(visibility: Any) -> None:
    assert template_calls.list_call(visibility, None, None).query == ()


@pytest.mark.parametrize("body", [b"", b"text", {}, {"templates": {}}, [1], {"next": None}, {"next": True}])
def test_a_page_of_nothing_is_empty(body: Any) -> None:
    page = template_calls.read_page(ASKED, reply(body))
    assert (page.templates, page.next_cursor) == ([], None)


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {"status": "success", "data": it}])
def test_a_template_is_read_from_either_envelope(wrap: Any) -> None:
    found = template_calls.read_template(ASKED, reply(wrap({"template": {"id": "t", "name": "N"}})))
    assert found == WorkflowTemplate(id="t", name="N")


@pytest.mark.parametrize("body", [{}, {"template": None}, {"template": {"id": "x"}}, b"text"])
def test_a_success_without_a_template_is_an_error(body: Any) -> None:
    with pytest.raises(ApiError) as caught:
        template_calls.read_template(ASKED, reply(body))
    assert (caught.value.status, caught.value.error_code) == (500, 0)


# -- replay --------------------------------------------------------------------


def test_a_record_travels_unchanged() -> None:
    record = {"run_id": "r", "rounds": [{"a": None}], "final_response": None, "own_key": {"someKey": 1}}
    assert replay_calls.write_call(record).body == record
    typed = RunRecord(run_id="r", rounds=[{"a": None}], extra={"own_key": 1})
    call = replay_calls.write_call(typed)
    assert (call.path, call.body) == ("/v1/replay/records", {"run_id": "r", "rounds": [{"a": None}], "own_key": 1})
    with pytest.raises(ValidationError):
        replay_calls.write_call([record])


@pytest.mark.parametrize(("limit", "query"), [(None, ()), (0, ()), (-1, ()), (20, (("limit", "20"),))])
def test_records_are_listed(limit: Any, query: Any) -> None:
    assert replay_calls.list_call(limit).query == query


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"runId": "r"}, ReplayWriteResult(run_id="r")),
        (
            {"runId": "r", "schemaVersion": 2.0, "redacted": True},
            ReplayWriteResult(run_id="r", schema_version=2, redacted=True),
        ),
        ({"runId": "r", "schemaVersion": [], "redacted": "true", "createTime": "5"}, ReplayWriteResult(run_id="r")),
        (
            {"runId": "r", "schemaVersion": "3", "createTime": 1_700_000_000_000, "updateTime": 1e300},
            ReplayWriteResult(run_id="r", schema_version="3", create_time=MOMENT),
        ),
    ],
)  # fmt: skip
def test_what_was_stored_is_read(answer: Any, expected: ReplayWriteResult) -> None:
    assert replay_calls.read_write(ASKED, reply(answer)) == expected


def test_summaries_are_read_and_what_is_none_left_out() -> None:
    listed = replay_calls.read_list(ASKED, reply({"records": [{"runId": "r", "rounds": 3}, 5]}))
    assert listed.records == [ReplayRecordSummary(run_id="r", rounds=3)]
    assert replay_calls.read_list(ASKED, reply(b"x")).records == []


def test_a_whole_record_is_read() -> None:
    found = replay_calls.read_record(ASKED, reply({"record": {"run_id": "r", "rounds": []}, "createTime": 0}), "r")
    assert (found.record, found.create_time) == (RunRecord(run_id="r", rounds=[]), datetime(1970, 1, 1, tzinfo=UTC))
    assert replay_calls.read_record(ASKED, reply({"record": {}}), "r").record == RunRecord(run_id="r")
    assert replay_calls.get_call("r/1").path == "/v1/replay/records/r%2F1"


@each_row("read", [replay_calls.read_write, lambda call, answer: replay_calls.read_record(call, answer, "r")])
@each_row("body", [{}, {"status": "success", "data": {"runId": "r", "record": {}}}, b"text", {"record": 5}])
def test_an_answer_that_does_not_say_is_an_error(read: Any, body: Any) -> None:
    with pytest.raises(ApiError) as caught:
        read(ASKED, reply(body))
    assert (caught.value.status, caught.value.error_code) == (500, 0)


# -- values and files ----------------------------------------------------------


def test_values_are_what_json_can_carry() -> None:
    assert json_ready("x", {"a": (1, MOMENT)}) == {"a": [1, "2023-11-14T22:13:20Z"]}
    assert json_object("x", MediaReference(url="u")) == {"url": "u"}
    assert json_list("x", (1, 2)) == [1, 2]
    recursive: list[Any] = []
    recursive.append(recursive)
    for value in (object(), float("inf"), recursive):
        with pytest.raises(ValidationError):
            json_ready("x", value)


PNG, MP4, MP3 = b"\x89PNG\r\n\x1a\n1234", b"\0\0\0\x20ftypisom", b"ID3\x04\0\0\0\0\0\0\xff\xfb"


@pytest.mark.parametrize(
    ("head", "kind", "path", "query"),
    [
        (PNG, "image", "/v1/image/uploadUrl", {"imageId": "I", "jobId": "J", "type": "startingImage"}),
        (MP4, "video", "/v1/media/uploadUrl", {"jobId": "J", "type": "referenceVideo"}),
        (MP3, "audio", "/v1/media/uploadUrl", {"jobId": "J", "type": "referenceAudio"}),
    ],
)
def test_a_file_goes_up_in_the_role_of_its_kind(head: bytes, kind: str, path: str, query: dict[str, str]) -> None:
    plan = reference_upload("file", head, "J", "I")
    assert (plan.kind, plan.upload_call().path) == (kind, path)
    assert dict(plan.upload_call().query) == {**query, "contentType": plan.content_type}
    assert plan.download_call().path == path.replace("upload", "download")
    assert plan.download_call().query == plan.upload_call().query


@pytest.mark.parametrize("head", [b"plain words.", b"\0\0\0\x20ftypavif"])
def test_a_file_of_another_kind_is_refused(head: bytes) -> None:
    with pytest.raises(ValidationError, match="notes"):
        reference_upload("notes", head, "J", "I")


def test_artifacts_have_sensible_names() -> None:
    named = artifact_paths("out", "wf/1")
    assert named(0, WorkflowArtifact())(".png") == Path("out/wf_1-0.png")
    assert named(2, WorkflowArtifact(id="../a b"))(".mp4") == Path("out/wf_1-2-_a_b.mp4")
    assert named(0, WorkflowArtifact(id="..."))(".png") == Path("out/wf_1-0-_.png")
    assert artifact_paths("out", "nul.x")(0, WorkflowArtifact())(".png") == Path("out/_nul.x-0.png")
    longest = artifact_paths("out", "w" * 300)(11, WorkflowArtifact(id="a" * 300))(".png").name
    assert longest == f"{'w' * 100}-11-{'a' * 96}.png"


def test_what_has_no_field_of_its_own_is_kept_as_sent() -> None:
    new = {"somethingNew": 1}
    stored = replay_calls.read_write(ASKED, reply({"status": "success", "runId": "r", **new}))
    listed = replay_calls.read_list(ASKED, reply({"records": [], **new}))
    one = replay_calls.read_record(ASKED, reply({"record": {"run_id": "r"}, **new}), "r")
    page = template_calls.read_page(ASKED, reply({"status": "success", "data": {"templates": [], "next": 4, **new}}))
    assert [stored.extra, listed.extra, one.extra, page.extra] == [new] * 4
