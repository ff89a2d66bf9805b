"""Hosted chat and single hosted tools (chat §11, §14.5)."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
import requests
from PIL import Image

from sogni.emulator import LocalSupernet
from sogni.emulator.tools.tool_context import checked_arguments
from tests.emulator.chat.helpers import IDENTITY, MODEL, picture, seeing, system, user
from tests.emulator.wire import DEADLINE, Wire

COMPLETIONS = "/v1/chat/completions"
EXECUTE = "/v1/creative-agent/tools/execute"


def post(wire: Wire, path: str, body: Any, **headers: str) -> requests.Response:
    url = wire.supernet.rest_endpoint + path
    return wire.http.post(url, json=body, headers={**wire.headers, **headers}, timeout=DEADLINE)


def hosted(wire: Wire, *messages: Any, **more: Any) -> Any:
    turns = [user(message) if isinstance(message, str) else message for message in messages]
    reply = post(wire, COMPLETIONS, {"messages": turns, **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def error_of(wire: Wire, **body: Any) -> tuple[int, Any]:
    reply = post(wire, COMPLETIONS, {"messages": [user("Hello")], **body})
    return reply.status_code, reply.json()["error"]


def test_an_answer_has_the_openai_form(wire: Wire) -> None:
    body = hosted(wire, system("Be brief"), "Good morning", model=MODEL, temperature=0.5)
    assert (body["object"], body["model"]) == ("chat.completion", MODEL)
    choice = body["choices"][0]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": f"You said: “Good morning”. {IDENTITY}"},
        "finish_reason": "stop",
    }
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert "sogni_tool_results" not in body
    assert body["id"].startswith("chatcmpl-")


def test_the_body_uses_snake_case_and_unknown_keys_are_noted(wire: Wire, supernet: LocalSupernet) -> None:
    hosted(wire, "Hello", token_type="spark", task_profile="general", app_source="x", safe_content_filter=True)
    hosted(wire, "Hello", media_references=[], api_media_references=[], billingMode="auto")
    assert supernet.violations == []
    hosted(wire, "Hello", tokenType="spark")
    assert [violation.where for violation in supernet.violations] == ["POST /v1/chat/completions $.tokenType"]


def test_limits_stops_thinking_and_json_work_as_on_the_socket(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.reply("1, 2, 3, 4", when="Count", times=None)

    def choice(text: str, **more: Any) -> Any:
        return hosted(wire, text, **more)["choices"][0]

    assert choice("Count", max_tokens=3)["finish_reason"] == "length"
    assert choice("Count", stop=[", 3"])["message"]["content"] == "1, 2"
    thought = choice("What is 1+1?", chat_template_kwargs={"enable_thinking": True})["message"]["content"]
    assert thought.startswith("<think>")
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    jsonschema.validate(json.loads(choice("What is 1+1?", response_format=form)["message"]["content"]), schema)
    assert "9 x 7" in hosted(wire, seeing("What is this?", picture("red", 9, 7)))["choices"][0]["message"]["content"]


def test_errors_are_objects_with_type_message_and_code(wire: Wire, supernet: LocalSupernet) -> None:
    assert error_of(wire, temperature=5)[0] == 400
    assert error_of(wire, temperature=5)[1]["type"] == "invalid_request"
    assert error_of(wire, stream=True)[0] == 400
    assert error_of(wire, model="nobody")[1]["type"] == "model_unavailable"
    assert error_of(wire, messages="hello")[0] == 400
    assert error_of(wire, billingMode="subscription")[1]["code"] == "4078"
    lacks = {"requiredPlans": ["unlimited_pro"], "feature": "chat", "limitation": "no"}
    supernet.chat.fail("subscription_unavailable", code="4081", subscription=lacks)
    status, told = error_of(wire)
    assert (status, told["code"]) == (403, "4081")
    assert told["subscription"] == {"subscriptionLimit": True, **lacks}
    supernet.account.set_balance(sogni=0)
    status, told = error_of(wire)
    assert (status, told["type"]) == (402, "insufficient_balance")
    assert post(wire, COMPLETIONS, [1]).status_code == 400
    text = wire.http.post(supernet.rest_endpoint + COMPLETIONS, data="{", headers=wire.headers, timeout=DEADLINE)
    assert text.status_code == 400


def test_hosted_chat_requires_credentials(wire: Wire) -> None:
    reply = post(wire, COMPLETIONS, {"messages": [user("Hello")]}, **{"api-key": "wrong"})
    assert reply.status_code == 401


def test_a_script_counts_here_too_and_may_raise(
    wire: Wire, supernet: LocalSupernet, caplog: pytest.LogCaptureFixture
) -> None:
    supernet.chat.reply("Arr!")
    assert hosted(wire, "Hello")["choices"][0]["message"]["content"] == "Arr!"
    supernet.chat.reply(lambda messages: str(1 // 0))
    assert post(wire, COMPLETIONS, {"messages": [user("Hello")]}).status_code == 500
    assert "hosted chat" in caplog.text


def test_usage_is_charged(wire: Wire, supernet: LocalSupernet) -> None:
    before = supernet.account.balance.spark
    usage = hosted(wire, "Hello", token_type="spark")["usage"]
    path = f"/api/v1/job-llm/estimate/spark/{MODEL}/{usage['prompt_tokens']}/{usage['completion_tokens']}"
    assert float(before - supernet.account.balance.spark) == wire.get(path).json()["quote"]["costInToken"]


def test_offered_tools_are_called_but_not_run(wire: Wire, supernet: LocalSupernet) -> None:
    choice = hosted(wire, "Create an image of a red kite", sogni_tools=True)["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    call = choice["message"]["tool_calls"][0]
    assert (call["type"], call["function"]["name"]) == ("function", "generate_image")
    assert json.loads(call["function"]["arguments"]) == {"prompt": "Create an image of a red kite"}
    assert supernet.projects == []


def test_hosted_tools_run_one_after_the_other_and_their_results_are_numbered(
    wire: Wire, supernet: LocalSupernet
) -> None:
    body = hosted(
        wire,
        "Create an image of a red kite, width=256 height=256, then turn it into a video, duration=2",
        sogni_tools="creative-tools",
        sogni_tool_execution=True,
        token_type="spark",
    )
    image, video = body["sogni_tool_results"]
    assert (image["toolName"], image["startIndex"], image["indices"]) == ("generate_image", 0, [0])
    assert (video["toolName"], video["videoStartIndex"], video["indices"]) == ("generate_video", 0, [0])
    content = body["choices"][0]["message"]["content"]
    assert image["urls"][0] in content
    assert video["urls"][0] in content
    picture_ = Image.open(io.BytesIO(wire.http.get(image["urls"][0], timeout=DEADLINE).content))
    assert picture_.size == (256, 256)
    assert wire.http.get(video["urls"][0], timeout=DEADLINE).content[4:8] == b"ftyp"
    assert [project["status"] for project in supernet.projects] == ["completed", "completed"]


def test_images_of_the_conversation_and_references_are_uploads(wire: Wire) -> None:
    def result(message: Any, **more: Any) -> Any:
        body = hosted(wire, message, sogni_tools="creative-tools", sogni_tool_execution=True, **more)
        return body["sogni_tool_results"][0]

    assert result(seeing("Edit this image: add a hat", picture("red", 64, 64)))["success"]
    reference = {"type": "image", "url": result("Create an image of a kite, width=256 height=256")["urls"][0]}
    assert result("Edit the image: add a hat", media_references=[reference])["success"]
    bad = {"messages": [user("Hi")], "sogni_tools": True, "sogni_tool_execution": True, "media_references": [5]}
    assert post(wire, COMPLETIONS, bad).status_code == 400


def test_a_failed_tool_is_reported(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(message="the worker broke")
    body = hosted(wire, "Create an image of a red kite", sogni_tools=True, sogni_tool_execution=True)
    failed = body["sogni_tool_results"][0]
    assert not failed["success"]
    assert failed["error"] in body["choices"][0]["message"]["content"]
    supernet.chat.reply(tool_calls=[("generate_image", "{broken")])
    body = hosted(wire, "Draw", sogni_tools=True, sogni_tool_execution=True)
    assert body["sogni_tool_results"][0]["code"] == "INVALID_ARGUMENTS"


def execute(wire: Wire, tool: str, **arguments: Any) -> Any:
    reply = post(wire, EXECUTE, {"tool": tool, "arguments": arguments, "token_type": "auto"})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["status"] == "success"
    assert set(body["data"]) == {"toolCallId", "tool", "result", "message"}
    assert body["data"]["tool"] == tool
    return body["data"]["result"]


def test_texts_are_composed_from_their_arguments(wire: Wire, supernet: LocalSupernet) -> None:
    before = supernet.account.balance.sogni
    kite = {"prompt": "a kite", "target_output": "image_prompt", "destination_model": "krea2_turbo_fp8_scaled"}

    def enhanced(**changes: str) -> str:
        return str(execute(wire, "enhance_prompt", **{**kite, **changes})["enhanced_prompt"])

    assert enhanced().startswith("a kite, ")
    assert supernet.violations == []
    post(wire, EXECUTE, {"tool": "compose_lyrics", "arguments": {"prompt": "rain"}, "billing_mode": "auto"})
    assert [it.where for it in supernet.violations] == [f"POST {EXECUTE} $.billing_mode"]
    for wrong in ({"prompt": "a kite"}, {**kite, "destination_model": "nobody"}):
        assert post(wire, EXECUTE, {"tool": "enhance_prompt", "arguments": wrong}).status_code == 400
    lyrics = execute(wire, "compose_lyrics", prompt="a song about rain", duration_seconds=120)
    assert all(part in lyrics["lyrics"] for part in ("[Verse]", "[Chorus]", "rain"))
    music = execute(wire, "compose_instrumental", prompt="calm piano")
    assert (music["timesig"], len(music["structure"])) == (4, 5)
    script = execute(wire, "compose_script", brief="a kite festival", scene_count=4, duration_seconds=20)
    assert (len(script["scenes"]), script["duration_seconds"]) == (4, 20)
    assert execute(wire, "compose_script", brief="a kite festival", scene_count=4, duration_seconds=20) == script
    assert Decimal(0) < before - supernet.account.balance.sogni < 1


@pytest.mark.parametrize("scenes", [1, 3])
@pytest.mark.parametrize("audio", [False, True])
def test_a_composed_workflow_has_steps_that_tools_accept(wire: Wire, scenes: int, audio: bool) -> None:
    plan = execute(
        wire, "compose_workflow", brief="a kite film", scene_count=scenes, include_audio=audio, aspect_ratio="16:9"
    )
    names = [step["toolName"] for step in plan["steps"]]
    assert names.count("generate_video") == scenes
    assert ("stitch_video" in names, "generate_music" in names) == (scenes > 1, audio)
    known: set[str] = set()
    for step in plan["steps"]:
        depends = step.get("dependsOn", [])
        assert {entry["sourceStepId"] for entry in depends} <= known
        checked_arguments(step["toolName"], step["arguments"], {entry["targetArgument"] for entry in depends})
        known.add(step["id"])
    assert plan["fits_budget"] is True
    tight = execute(wire, "compose_workflow", brief="a film", max_estimated_capacity_units=1)
    assert (tight["fits_budget"], tight["max_estimated_capacity_units"]) == (False, 1)


def test_a_composed_template_uses_its_inputs(wire: Wire) -> None:
    made = execute(wire, "compose_workflow_template", brief="a kite film", name="Kites")
    draft = made["template_draft"]
    assert (draft["name"], draft["category"], draft["visibility"]) == ("Kites", "custom", "private")
    assert [entry["name"] for entry in draft["inputs"]] == ["brief"]
    assert draft["stages"][0]["arguments"]["prompt"] == "$inputs.brief"
    assert made["plan"]["steps"]
    again = execute(wire, "compose_workflow_template", brief="more", name="Kites 2", existing_template={"id": "t1"})
    assert again["template_draft"]["id"] == "t1"


@pytest.mark.parametrize(
    "body",
    [
        {"tool": "generate_image", "arguments": {"prompt": "x"}},
        {"tool": "compose_lyrics", "arguments": {}},
        {"tool": 5},
        {"tool": "compose_lyrics", "arguments": []},
        {"tool": "compose_lyrics", "arguments": {"prompt": "x"}, "token_type": "gold"},
    ],
)
def test_other_tools_and_invalid_arguments_are_refused(wire: Wire, body: Any) -> None:
    reply = post(wire, EXECUTE, body)
    assert (reply.status_code, reply.json()["status"]) == (400, "error")


def test_an_agent_makes_a_workflow_of_several_steps(wire: Wire, supernet: LocalSupernet) -> None:
    agent = {"sogni_tools": "creative-agent", "sogni_tool_execution": True, "token_type": "spark"}
    body = hosted(
        wire, "Create an image of a red kite, width=256 height=256, then turn it into a video, duration=2", **agent
    )
    started = body["creative_workflows"][0]
    assert set(started) == {"workflowId", "status", "url", "eventsUrl", "streamUrl"}
    assert started["url"] in body["choices"][0]["message"]["content"]

    def over() -> Any:
        record = wire.data(started["url"])["workflow"]
        return record if record["status"] not in ("queued", "running") else None

    record = supernet.wait_for(over, timeout=DEADLINE)
    assert record["status"] == "completed"
    assert [artifact["type"] for artifact in record["artifacts"]] == ["image", "video"]
    single = hosted(wire, "Create an image of a red kite, width=256 height=256", **agent)
    assert "creative_workflows" not in single
    assert single["sogni_tool_results"][0]["success"]


@pytest.mark.parametrize("scenes", [1, 2])
def test_a_composed_workflow_is_accepted(wire: Wire, scenes: int) -> None:
    plan = execute(wire, "compose_workflow", brief="a kite film", scene_count=scenes, include_audio=True)
    steps = {"title": plan["title"], "steps": plan["steps"]}
    reply = post(wire, "/v1/creative-agent/workflows", {"input": steps, "token_type": "spark"})
    assert reply.status_code == 202, reply.text
    workflow = reply.json()["data"]["workflow"]["workflowId"]
    assert post(wire, f"/v1/creative-agent/workflows/{workflow}/cancel", {}).status_code == 200
    template = execute(wire, "compose_workflow_template", brief="a kite film", name="Kites", scene_count=scenes)
    kept = post(wire, "/v1/creative-agent/workflows/templates", template["template_draft"])
    assert kept.status_code in (200, 201), kept.text
