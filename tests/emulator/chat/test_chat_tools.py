"""Tool calls over the socket: streamed to the client, or run by the service."""

from __future__ import annotations

import json
from decimal import Decimal

from sogni.emulator import LocalSupernet
from tests.emulator.chat.helpers import ask, user
from tests.emulator.wire import Wire

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_calls_are_streamed_and_end_with_their_reason(wire: Wire) -> None:
    wire.connect()
    said = ask(wire, "What's the weather in Paris?", tools=[WEATHER])
    assert (said.finish_reason, said.text) == ("tool_calls", "")
    assert [(name, json.loads(arguments)) for name, arguments in said.calls] == [("get_weather", {"city": "Paris"})]
    assert ask(wire, "Hello", tools=[WEATHER]).finish_reason == "stop"
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    turns = [
        user("What's the weather in Paris?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "name": "get_weather", "content": "18 degrees"},
    ]
    assert "18 degrees" in ask(wire, *turns, tools=[WEATHER]).text
    schema = {"type": "object", "properties": {"degrees": {"type": "integer"}}, "required": ["degrees"]}
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": schema}}
    assert json.loads(ask(wire, *turns, tools=[WEATHER], response_format=form).text) == {"degrees": 18}


def test_the_service_runs_its_own_tools_before_it_answers_on_the_socket(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    before = supernet.account.balance.spark
    said = ask(
        wire,
        "Create an image of a red kite, width=256 height=256",
        sogni_tools=True,
        sogni_tool_execution=True,
        tokenType="spark",
    )
    assert (said.finish_reason, said.calls) == ("stop", [])
    url = said.text.rpartition(" ")[2]
    assert wire.http.get(url, timeout=30).content.startswith(b"\x89PNG")
    spent = before - supernet.account.balance.spark
    paid = [project["costActual"]["costInToken"] for project in supernet.projects]
    assert spent == Decimal(said.result["cost"]["costInToken"]) + sum(map(Decimal, paid))
