"""Completions whose client is disconnected: kept, resumed, and continued where the client stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.chat.helpers import ENDS, ask, chat_request
from tests.emulator.wire import Wire, of_type

STORY = "Tell me a story"


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, token_rate=600, seed=1) as running:
        running.chat.reply("sea " * 120, when=STORY, times=None)
        yield running


def read_until_cut(wire: Wire) -> list[tuple[str, Any]]:
    """Return everything that arrives before the connection ends."""
    frames = []
    while True:
        try:
            frames.append(wire.receive())
        except Exception:
            return frames


def text_of(frames: list[tuple[str, Any]]) -> str:
    return "".join(chunk["content"] for chunk in of_type(frames, "jobTokens"))


def read_to_end(wire: Wire) -> list[tuple[str, Any]]:
    return wire.until(lambda name, _: name in ENDS)


def test_a_cut_stream_continues_with_the_same_text(wire: Wire, supernet: LocalSupernet) -> None:
    whole = ask(wire.connect(), STORY).text
    wire.connect()
    cut = supernet.faults.drop_socket(after_tokens=40)
    request = chat_request(STORY)
    wire.send("llmJobRequest", request)
    before = read_until_cut(wire)
    assert len(of_type(before, "jobTokens")) == 40
    greeting = wire.connect().receive()[1]
    assert greeting["activeLLMJobIDs"] == [request["jobID"]]
    after = read_to_end(wire)
    assert text_of(before) + text_of(after) == whole
    assert cut.fired == 1
    assert of_type(after, "llmJobResult")[0]["usage"]["completion_tokens"] > 100


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_stream_cut_instead_of_a_frame_loses_nothing(wire: Wire, supernet: LocalSupernet, cuts: int) -> None:
    whole = ask(wire.connect(), STORY).text
    wire.connect()
    supernet.faults.drop_socket(before="tokens", times=cuts)
    wire.send("llmJobRequest", chat_request(STORY))
    parts = [read_until_cut(wire)]
    parts += [read_until_cut(wire.connect()) for _ in range(cuts - 1)]
    parts.append(read_to_end(wire.connect()))
    assert "".join(text_of(part) for part in parts) == whole


def test_connections_dropped_at_any_time_lose_and_repeat_nothing(wire: Wire, supernet: LocalSupernet) -> None:
    whole = ask(wire.connect(), STORY).text
    wire.connect()
    wire.send("llmJobRequest", chat_request(STORY))
    frames = wire.until(lambda name, _: name == "jobTokens")
    for _ in range(4):
        if frames[-1][0] in ENDS:  # a busy machine reconnects slowly
            break
        supernet.drop_connections()
        frames += read_until_cut(wire)
        frames += wire.connect().until(lambda name, _: name in ("jobTokens", *ENDS))
    frames += read_to_end(wire) if frames[-1][0] not in ENDS else []
    assert text_of(frames) == whole


def test_an_answer_that_ended_while_the_client_was_away_is_kept(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.rate(0)
    whole = ask(wire.connect(), STORY).text
    wire.connect()
    supernet.faults.drop_socket(after_tokens=10)
    before = supernet.account.balance.sogni
    wire.send("llmJobRequest", chat_request(STORY))
    frames = read_until_cut(wire)
    supernet.wait_for(lambda: supernet.account.balance.sogni < before)
    frames += read_to_end(wire.connect())
    assert text_of(frames) == whole
    assert wire.connect().receive()[1]["activeLLMJobIDs"] == []


def test_another_app_receives_nothing(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect()
    supernet.faults.drop_socket(after_tokens=5)
    wire.send("llmJobRequest", chat_request(STORY))
    read_until_cut(wire)
    with Wire(supernet, app_id="another") as other:
        assert other.connect().receive()[1]["activeLLMJobIDs"] == []
    assert len(wire.connect().receive()[1]["activeLLMJobIDs"]) == 1


def test_an_absent_client_is_charged_for_what_was_sent(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.kept_seconds = 0.05
    supernet.chat.rate(50)
    wire.connect()
    owned = supernet.account.balance.sogni
    supernet.faults.drop_socket(after_tokens=5)
    wire.send("llmJobRequest", chat_request(STORY))
    frames = read_until_cut(wire)
    most = Decimal(of_type(frames, "jobState")[0]["estimatedCost"])
    supernet.wait_for(lambda: owned - most < supernet.account.balance.sogni < owned)
    assert wire.connect().receive()[1]["activeLLMJobIDs"] == []


def test_a_restart_drops_completions_and_frees_reservations(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.rate(20)
    wire.connect()
    owned = supernet.account.balance
    wire.send("llmJobRequest", chat_request(STORY))
    wire.until(lambda name, _: name == "jobTokens")
    supernet.drop_connections(1001, "restarting")
    assert wire.close_code() == 1001
    supernet.wait_for(lambda: supernet.account.balance == owned)
    assert wire.connect().receive()[1]["activeLLMJobIDs"] == []


def test_taking_over_an_app_id_continues_its_completion(wire: Wire, supernet: LocalSupernet) -> None:
    whole = ask(wire.connect(), STORY).text
    wire.connect()
    supernet.chat.rate(100)  # it must not have ended when it is taken over
    wire.send("llmJobRequest", chat_request(STORY))
    frames = wire.until(lambda name, _: name == "jobTokens")
    with Wire(supernet) as other:
        other.connect()
        before = text_of(frames + read_until_cut(wire))
        after = text_of(read_to_end(other))
    assert whole.startswith(before)
    assert whole.endswith(after)
    # A frame in flight on the old connection is also sent on the new one: they are two clients.
    assert len(before) + len(after) >= len(whole)


def test_a_frozen_connection_accepts_nothing(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.rate(300)
    whole = ask(wire.connect(), STORY).text
    wire.connect()
    wire.send("llmJobRequest", chat_request(STORY))
    frames = wire.until(lambda name, _: name == "jobTokens")
    supernet.freeze_connections()
    assert wire.socket is not None
    wire.socket.settimeout(0.1)
    frames += read_until_cut(wire)
    frames += read_to_end(wire.connect())
    assert text_of(frames) == whole


def test_a_request_can_be_lost_with_its_connection(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.lose_request()
    wire.connect().send("llmJobRequest", chat_request(STORY))
    assert wire.close_code() == 0
    assert wire.connect().receive()[1]["activeLLMJobIDs"] == []


def test_reset_ends_completions(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.chat.rate(10)
    rule = supernet.chat.reply("never said " * 100, when="Hello")
    wire.connect()
    wire.send("llmJobRequest", chat_request("Hello"))
    wire.until(lambda name, _: name == "jobTokens")
    supernet.reset()
    supernet.chat.rate(0)
    assert rule.fired == 1
    started = time.monotonic()
    assert ask(wire, "Hello").text.startswith("You said")
    assert time.monotonic() - started < 5
